// One of several processes that read one key at the same time: told a version on a line of its input, it lets its readers loose.
import { createInterface } from 'node:readline'
import pg from 'pg'
import { caches, FRESH_FOR } from './caches.js'

const READERS = 200

const [name = '', url = ''] = process.argv.slice(2)
const pool = new pg.Pool({ connectionString: url })
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
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const started = performance.now()
  await Promise.all(Array.from({ length: READERS }, () => cache.read('crowd', Number(line))))
  console.log(performance.now() - started)
}
await cache.close()
await pool.end()
process.exit()
