import { connect } from '@async-gen/runtime'
import { expect, it } from 'vitest'
import { backoff } from '../../runtime/src/core/backoff.js'
import { releasePresence } from '../../runtime/src/presence/presence.js'
import { toastsOf } from '../../runtime/src/toast/registry.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')

it('a refresh whose worker died waits as long as a failed one', async () => {
  const db = connect(prisma, { connectionString: url })
  const failures = [0, 1, 5, 11, 12, 40]
  await query(
    url,
    `INSERT INTO toasts (name, key, failures, locked_by) SELECT 'oat.breakfast', n::text, n, -1 FROM unnest($1::int[]) AS n`,
    [failures],
  )
  expect(await toastsOf(db).table.rescue()).toBe(failures.length)
  const rows = await query(
    url,
    'SELECT failures, extract(epoch FROM refresh_at - updated_at)::float8 AS wait FROM toasts ORDER BY failures',
  )
  for (const row of rows) {
    const [least, most] = [backoff(row.failures, () => 0), backoff(row.failures, () => 1)]
    expect(row.wait * 1000, `after ${row.failures} failures`).toBeGreaterThanOrEqual(least - 10)
    expect(row.wait * 1000, `after ${row.failures} failures`).toBeLessThanOrEqual(most + 10)
  }
  await releasePresence(db)
  await db.close()
})
