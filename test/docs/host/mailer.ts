export const mailer = { welcome: async (address: string) => address }
