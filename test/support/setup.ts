import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { databaseUrl } from './postgres.js'

// Each test file gets a database of its own, named here because modules of the application read the URL when they are
// imported, which is before any line of the test runs. `testDatabase` creates it for the tests that want one.
process.env.DATABASE_URL = databaseUrl(inject('postgres'), randomBytes(4).toString('hex'))
