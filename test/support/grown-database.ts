import pg from 'pg'
import { inject } from 'vitest'
import { testDatabase } from './database.js'
import { grow } from './grown.js'
import { createDatabase, databaseUrl, poolOf } from './postgres.js'

/** The database of the test file, with 200,000 finished rows in each table. They are inserted once in a run of the tests, and copied. */
export async function grownDatabase(): Promise<string> {
  const { url } = inject('postgres')
  const session = new pg.Client(url)
  await session.connect()
  try {
    await session.query(`SELECT pg_advisory_lock(hashtext('grown'))`)
    const { rows } = await session.query('SELECT FROM pg_database WHERE datname = $1', [nameOf('grown')])
    if (rows.length === 0) await makeGrown(session)
  } finally {
    await session.end()
  }
  return await testDatabase('grown')
}

async function makeGrown(session: pg.Client): Promise<void> {
  const url = await createDatabase(inject('postgres'), { name: 'growing', template: 'template' })
  await grow(url, 200_000)
  await poolOf(url).end()
  await session.query(`ALTER DATABASE ${nameOf('growing')} RENAME TO ${nameOf('grown')}`)
}

const nameOf = (name: string) => new URL(databaseUrl(inject('postgres'), name)).pathname.slice(1)
