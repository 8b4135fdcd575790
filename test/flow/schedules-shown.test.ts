import { asyncDashboard } from '@async-gen/runtime/dashboard'
import { afterEach, expect, it } from 'vitest'
import { Client } from '../dashboard/client.js'
import { testDatabase } from '../support/database.js'
import { REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { run } from '../support/run.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { Attempt } = await import('../.app/src/async/attempt.js')

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const schedule = (...args: string[]) =>
  run(
    REPOSITORY,
    process.execPath,
    [bundled('runtime/src/bin/async-gen-worker.ts'), 'schedule', bundled('test/chaos/host/worker.ts'), ...args],
    { env: { DATABASE_URL: url } },
  )

afterEach(() => rows('TRUNCATE async_schedules'))

const fill = () =>
  rows(`INSERT INTO async_schedules (model, name, in_code, target, method, cron, tz, last_at, next_at, waiting, error) VALUES
    ('Attempt', 'nightly', true, 'Probe', 'plain', '0 4 * * *', 'Europe/Berlin', '2026-11-26T03:00:00Z', '2026-11-27T03:00:00Z', false, NULL),
    ('Attempt', 'waits', false, 'Probe', 'plain', '0 * * * *', 'UTC', '2026-11-26T03:00:00Z', 'infinity', true, NULL),
    ('Attempt', E'bad\\nname', false, 'Probe', 'plain', 'soon', 'UTC', NULL, '2026-11-27T03:00:00Z', false, 'cron is "soon"')`)

it('`async-gen-worker schedule` lists schedules with their last and next times, and what is wrong', async () => {
  expect((await schedule()).stdout).toBe(
    'There are no schedules. A worker writes those of schedule.ts to the database when it starts.\n',
  )
  await fill()
  expect((await schedule()).stdout.split('\n')).toEqual([
    'bad\\nname: Probe.plain (Attempt), soon UTC, a row',
    '  last never, next never',
    '  cron is "soon"',
    'nightly: Probe.plain (Attempt), 0 4 * * * Europe/Berlin, in schedule.ts',
    '  last 2026-11-26T03:00:00Z, next 2026-11-27T03:00:00Z (2026-11-27 04:00 in Europe/Berlin)',
    'waits: Probe.plain (Attempt), 0 * * * * UTC, a row',
    '  last 2026-11-26T03:00:00Z, next when the run before has ended',
    '',
  ])
  const { schedules } = JSON.parse((await schedule('--json')).stdout)
  expect(schedules[1]).toEqual({
    model: 'Attempt',
    name: 'nightly',
    inCode: true,
    target: 'Probe',
    method: 'plain',
    cron: '0 4 * * *',
    tz: 'Europe/Berlin',
    missed: 'once',
    overlap: 'allow',
    waiting: false,
    error: null,
    lastAt: '2026-11-26T03:00:00.000Z',
    nextAt: '2026-11-27T03:00:00.000Z',
  })
})

it('the dashboard has a page of the schedules', async () => {
  // Each dashboard keeps what it has read for a second.
  const client = () => new Client(asyncDashboard(db, { attempts: [Attempt] }))
  expect((await client().visit('/async/schedules')).text).toContain('There are no schedules.')
  await fill()
  const { status, text } = await client().visit('/async/schedules')
  expect(status).toBe(200)
  expect(text).toContain('nightly')
  expect(text).toContain('0 4 * * * Europe/Berlin')
  expect(text).toContain('2026-11-27 04:00 there')
  expect(text).toContain('when the run before has ended')
  expect(text).toContain('cron is "soon"')
})

it('a worker with a schedule that is not valid ends when it starts, and says why', async () => {
  const { stdout, stderr, code } = await run(
    REPOSITORY,
    process.execPath,
    [bundled('test/flow/host/schedules-worker.ts')],
    { env: { DATABASE_URL: url, CRON: '0 25 * * *' }, exitCodes: [1] },
  )
  expect(code).toBe(1)
  expect(stdout + stderr).toContain('The schedule \\"all\\": cron is \\"0 25 * * *\\", which is not valid')
})
