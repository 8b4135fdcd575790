import { asyncCached } from '@async-gen/runtime'
import pg from 'pg'
import { openApplication } from './application.js'
import { peer } from './peer.js'

/** A cache as the benchmarks use it, whatever it calls these things. */
export interface Cache {
  /** The value of a key, computed where there is none, or where it is older than `version`. */
  read(key: string, version: number): Promise<unknown>
  close(): Promise<void>
}

export type Compute = (key: string) => Promise<unknown>

/** How long values of the peers may be served after they have become stale, in milliseconds. */
const STALE_FOR = 3_600_000

/** The caches that are compared, and the pages that recommend their settings. Each keeps its values in PostgreSQL, except async-cache-dedupe, which has no store for it. */
export const caches: Record<string, (url: string, compute: Compute, freshFor: number) => Promise<Cache>> = {
  'async-gen': async (url, compute) => {
    const { db, close } = await openApplication(url, { poolSize: 10 })
    const cached = asyncCached(db, 'bench', compute)
    return { read: (key, version) => cached.fetch(key, version, { arguments: [key] }), close }
  },

  bentocache: async (url, compute, freshFor) => {
    const { BentoCache, bentostore } = await peer('bentocache')
    const { knexDriver } = await peer('bentocache/drivers/knex')
    const { default: knex } = await peer('knex')
    const connection = knex({ client: 'pg', connection: url })
    const cache = new BentoCache({
      default: 'pg',
      stores: {
        pg: bentostore().useL2Layer(knexDriver({ connection, tableName: 'bentocache', pruneInterval: false })),
      },
    })
    const read = (key: string) =>
      cache.getOrSet({ key, factory: () => compute(key), ttl: freshFor, grace: STALE_FOR, timeout: 0 })
    return { read, close: () => cache.disconnectAll() }
  },

  cachified: async (url, compute, freshFor) => {
    const { cachified } = await peer('@epic-web/cachified')
    const pool = new pg.Pool({ connectionString: url }).on('error', () => {})
    await pool.query('CREATE TABLE IF NOT EXISTS cachified (key text PRIMARY KEY, entry jsonb)').catch(() => {})
    const cache = {
      get: async (key: string) => {
        const text = 'SELECT entry FROM cachified WHERE key = $1'
        return (await pool.query({ name: 'get', text, values: [key] })).rows[0]?.entry
      },
      set: async (key: string, entry: unknown) => {
        const text = 'INSERT INTO cachified VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET entry = excluded.entry'
        await pool.query({ name: 'set', text, values: [key, JSON.stringify(entry)] })
      },
      delete: async (key: string) => {
        await pool.query('DELETE FROM cachified WHERE key = $1', [key])
      },
    }
    const read = (key: string) =>
      cachified({ key, cache, getFreshValue: () => compute(key), ttl: freshFor, swr: STALE_FOR })
    return { read, close: () => pool.end() }
  },

  'async-cache-dedupe (in memory)': async (_, compute, freshFor) => {
    const { createCache } = await peer('async-cache-dedupe')
    const cache = createCache({ ttl: Math.ceil(freshFor / 1000), stale: STALE_FOR / 1000, storage: { type: 'memory' } })
    cache.define('value', compute)
    return { read: (key) => cache.value(key), close: async () => {} }
  },
}

/** The settings of the peers, and the pages that recommend them. */
export const cacheSettings = {
  bentocache:
    'its Knex driver as the only layer, `grace` and `timeout: 0` ([grace periods](https://bentocache.dev/docs/grace-periods), [timeouts](https://bentocache.dev/docs/timeouts))',
  cachified:
    'a prepared statement for each operation of its store, `ttl` and `swr` ([options](https://github.com/epicweb-dev/cachified#options))',
  'async-cache-dedupe':
    'its store in memory, as it has none in PostgreSQL, `ttl` and `stale` ([options](https://github.com/mcollina/async-cache-dedupe#api))',
}
