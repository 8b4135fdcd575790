// A process that uses PostgreSQL until it is killed, for postgres.test.ts: prints where the server is, and lives on.
import { createDatabase, startPostgres } from './postgres.js'

const { url, prefix } = await startPostgres()
await createDatabase({ url, prefix }, { name: 'left_behind' })
console.log(JSON.stringify({ url, prefix }))
setInterval(() => {}, 1_000)
