import { existsSync } from 'node:fs'
import { inject } from 'vitest'
import { APP } from './host.js'
import { createDatabase } from './postgres.js'

let created: Promise<string> | undefined

/**
 * The test file's own database, migrated, and the one that test/.app is connected to: `const url = await testDatabase()`
 * at the top of the file. It is a copy of the run's database `template`.
 */
export function testDatabase(template = 'template') {
  created ??= create(template)
  return created
}

async function create(template: string) {
  if (!existsSync(APP)) throw new Error('test/.app is missing: npm run test:prepare')
  const url = process.env.DATABASE_URL!
  await createDatabase(inject('postgres'), { name: new URL(url).pathname.split('_').at(-1)!, template })
  return url
}
