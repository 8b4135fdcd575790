import { query } from './postgres.js'

/** In an order in which they can be inserted. */
const TABLES = ['Oat', 'Topping', 'Entry', 'async_workers', 'attempts', 'payment_attempts', 'reports', 'toasts']

/**
 * The rows of a stored host as INSERT statements. Times count from the moment of inserting, so that what was due in ten seconds is
 * due in ten seconds again. The triggers enqueue what waits; the jobs of a worker that was killed follow, as it had locked them.
 */
export async function rowsAsSql(url: string): Promise<string> {
  const parts: string[] = []
  for (const table of TABLES) parts.push(await insertsOf(url, table))
  parts.push(await lockedJobsOf(url))
  return parts.filter(Boolean).join('\n')
}

async function insertsOf(url: string, table: string): Promise<string> {
  const columns: { name: string; type: string }[] = await query(
    url,
    `SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [`"${table}"`],
  )
  const literals = columns.map(({ name, type }) => {
    if (type.startsWith('timestamp'))
      return `coalesce('now() + ' || quote_literal("${name}" - clock_timestamp()), 'NULL')`
    if (/^(bigint|integer|double precision)$/.test(type)) return `coalesce("${name}"::text, 'NULL')`
    return `quote_nullable("${name}"::text)`
  })
  const rows = await query(url, `SELECT concat_ws(', ', ${literals.join(', ')}) AS row FROM "${table}" ORDER BY id`)
  if (rows.length === 0) return ''
  const names = columns.map(({ name }) => `"${name}"`).join(', ')
  const values = rows.map(({ row }) => `  (${row})`).join(',\n')
  return `INSERT INTO "${table}" (${names}) VALUES\n${values};
SELECT setval(pg_get_serial_sequence('"${table}"', 'id'), (SELECT max(id) FROM "${table}"));\n`
}

async function lockedJobsOf(url: string): Promise<string> {
  const jobs = await query(
    url,
    `SELECT format(
       'SELECT graphile_worker.add_job(%L, %L::json, job_key => %L, priority => %s);
UPDATE graphile_worker._private_jobs SET attempts = %s, locked_by = %L, locked_at = now() + %L WHERE key = %L;',
       task_identifier, payload, key, priority, attempts, locked_by, locked_at - clock_timestamp(), key
     ) AS sql
     FROM graphile_worker.jobs JOIN graphile_worker._private_jobs USING (id, key, priority, attempts, locked_by, locked_at)
     WHERE locked_at IS NOT NULL`,
  )
  return jobs.map(({ sql }) => `${sql}\n`).join('')
}
