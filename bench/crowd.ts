// One of several processes that read one key at the same time: `crowd.ts bentocache <url> <key>`. It gets a version, reads it with all its
// readers, and answers how many milliseconds that took.
import pg from 'pg'
import { caches } from './caches.js'

const READERS = 200

/** How long values of the peers are fresh, in milliseconds. */
const FRESH_FOR = 1000

// Each reader of async-gen warns that no worker is alive.
console.warn = () => {}

const [name = '', url = '', key = ''] = process.argv.slice(2)
const pool = new pg.Pool({ connectionString: url }).on('error', () => {})
const cache = await caches[name]!(
  url,
  async () => {
    await pool.query('INSERT INTO computations DEFAULT VALUES')
    await new Promise((resolve) => setTimeout(resolve, 300))
    return { oat: 'meal' }
  },
  FRESH_FOR,
)
await cache.read('warm', 1)
process.on('message', async (version: number) => {
  const started = performance.now()
  await Promise.all(Array.from({ length: READERS }, () => cache.read(key, version)))
  process.send!(performance.now() - started)
})
process.once('disconnect', () => process.exit())
process.send!('ready')
