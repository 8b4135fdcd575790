/** The versions with which the preview of Prisma 8 is tested. */
export const TESTED_PRISMA_8 = '8.0.0-rc.19'
export const TESTED_ORM_POSTGRES = '8.0.0-rc.13'
