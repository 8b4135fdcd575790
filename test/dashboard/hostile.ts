import { query } from '../support/postgres.js'

const SCRIPT = '"><script>document.title="hacked"</script><img src=x onerror=alert(1)>'
const MARKS = 'safe\u202etxt.exe\u2066\u0007'

/** Rows that a page could break of. Returns the ids of the attempts. */
export async function hostileRows(url: string): Promise<string[]> {
  const errors = [
    {
      number: SCRIPT,
      at: SCRIPT,
      elapsed: SCRIPT,
      worker: SCRIPT,
      name: SCRIPT,
      message: SCRIPT,
      stack: `Error\n    at ${SCRIPT}`,
      code: SCRIPT,
    },
    { name: { nested: SCRIPT }, message: ['a', SCRIPT], cause: SCRIPT, errors: [1, null, { message: SCRIPT }] },
    { number: 1, at: '2026-01-01', name: 'Error', message: MARKS, stack: 'x'.repeat(100_000) },
  ]
  const deep = `${'['.repeat(10_000)}1${']'.repeat(10_000)}`
  let causes: object = { name: 'Error', message: 'the innermost' }
  for (let i = 0; i < 500; i++) causes = { name: 'Error', message: `cause ${i}`, cause: causes }
  const rows: [name: string, args: string, errors: string][] = [
    [SCRIPT, JSON.stringify([SCRIPT]), JSON.stringify(errors)],
    [MARKS, JSON.stringify([MARKS, 'a'.repeat(8 * 2 ** 20)]), '[]'],
    ['deep', deep, deep],
    ['causes', '[]', JSON.stringify([causes])],
    ['odd', '{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}', '"no list"'],
    ['null', 'null', 'null'],
    ['meta', '{"json": [1], "meta": {"values": "bad"}}', '[null, 1, "text", [], {}]'],
    [
      'large error',
      '[]',
      JSON.stringify([{ name: 'Error', message: 'm'.repeat(200_000), stack: `Error\n    at ${'s'.repeat(200_000)}` }]),
    ],
    ['x'.repeat(2500), '[]', '[]'],
  ]
  await query(url, 'ALTER TABLE attempts DISABLE TRIGGER ALL')
  const ids: string[] = []
  for (const [name, args, error] of rows) {
    for (const status of ['pending', 'failed', 'running', 'succeeded']) {
      const [row] = await query(
        url,
        `INSERT INTO attempts (type, target, method, args, result, errors, status, progress, progress_message, completed_at, scheduled_at, started_at, locked_by, trace_context)
        VALUES ($1, $1, $1, $2, $2, $3, $4::attempt_status, 'NaN', $1, CASE WHEN $4 IN ('failed', 'succeeded') THEN 'infinity'::timestamptz END,
          '-infinity', '4000-01-01 BC', 7, jsonb_build_object('traceparent', $1::text)) RETURNING id`,
        [name, args, error, status],
      )
      ids.push(String(row.id))
    }
  }
  await query(url, 'ALTER TABLE attempts ENABLE TRIGGER ALL')
  await query(
    url,
    `INSERT INTO toasts (name, key, value, error, failures, cached_at, elapsed, args, progress, locked_by)
    SELECT name, name, value::jsonb, error::jsonb, 3, 'infinity', 'NaN', value::jsonb, 'Infinity', CASE WHEN name = 'deep' THEN 7 END
    FROM unnest($1::text[], $2::text[], $3::text[]) AS row (name, value, error)`,
    [
      rows.slice(0, 8).map(([name]) => name),
      rows.slice(0, 8).map(([, args]) => args),
      rows.slice(0, 8).map(([, , error]) => error),
    ],
  )
  await query(
    url,
    `INSERT INTO async_pauses (model, target, method, reason, until) VALUES ($1, $1, $1, $1, 'infinity'), ('Attempt', $2, '*', $2, NULL)`,
    [SCRIPT, MARKS],
  )
  await query(
    url,
    `INSERT INTO async_schedules (model, name, target, method, cron, tz, error) VALUES ($1, $1, $1, $1, $1, $1, $1), ('Attempt', $2, $2, $2, $2, $2, $2)`,
    [SCRIPT, MARKS],
  )
  await query(
    url,
    `INSERT INTO async_workers (host, pid, version, tasks, pool_id, ended_at) VALUES ($1, 1, $1, ARRAY[$1], $1, 'infinity')`,
    [SCRIPT],
  )
  return ids
}
