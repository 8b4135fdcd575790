import pg from 'pg'

/** Opens a connection. When its server stops, it fails the next statement, and not the process. */
export async function openConnection(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url }).on('error', () => {})
  await client.connect()
  return client
}
