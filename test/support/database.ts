import { existsSync } from 'node:fs'
import { inject } from 'vitest'
import { APP } from './host.js'
import { createDatabase } from './postgres.js'

let created: Promise<string> | undefined

/**
 * The test file's own database, migrated, and the one that test/.app is connected to: `const url = await testDatabase()`
 * at the top of the file.
 */
export function testDatabase() {
  created ??= create()
  return created
}

async function create() {
  if (!existsSync(APP)) throw new Error('test/.app is missing: npm run test:prepare')
  const url = process.env.DATABASE_URL!
  await createDatabase(inject('postgres'), { name: new URL(url).pathname.split('_').at(-1)!, template: 'template' })
  return url
}
