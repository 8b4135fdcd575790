export const script = `
`
