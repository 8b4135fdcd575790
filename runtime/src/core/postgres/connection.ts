import pg from 'pg'

/** Runs SQL on one connection: a statement, or a script of several statements without parameters. */
export type RunSql = <Row = unknown>(text: string, values?: unknown[]) => Promise<Row[]>

/** Opens a connection outside of any pool, and closes it when the function ends. */
export async function onConnection<Result>(
  connectionString: string,
  run: (sql: RunSql) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString, application_name: 'async-gen testing' })
  // Without a listener, its error would end the process.
  client.on('error', () => {})
  await client.connect()
  try {
    return await run(async (text, values) => (await client.query(text, values)).rows)
  } finally {
    await client.end().catch(() => {})
  }
}

/** A name in SQL: `shop"s` becomes `"shop""s"`. */
export function quoteName(name: string): string {
  return pg.escapeIdentifier(name)
}
