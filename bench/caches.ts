import { asyncCached, connect } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'

/** A cache as the benchmark uses it, whatever it calls these things. */
export interface Cache {
  /** The value of a key, computed where there is none, or where it is older than `version`. */
  read(key: string, version: number): Promise<unknown>
  close(): Promise<void>
}

export type Compute = (key: string) => Promise<unknown>

/** How long values of the peers are fresh, in milliseconds; they are stale and may be served for an hour more. */
export const FRESH_FOR = 1000
const STALE_FOR = 3_600_000

/** The contenders. Each keeps its values in PostgreSQL, but for async-cache-dedupe, which has no store for it. */
export const caches: Record<string, (url: string, compute: Compute, freshFor: number) => Promise<Cache>> = {
  'async-gen': async (url, compute) => {
    const { PrismaClient } = await import('../test/.app/src/generated/prisma/client.js')
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) })
    const db = connect(prisma, { connectionString: url })
    const cached = asyncCached(db, 'bench', compute)
    return {
      read: (key, version) => cached.fetch(key, version, { arguments: [key] }),
      close: async () => {
        await db.close()
        await prisma.$disconnect()
      },
    }
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
    const pool = poolOf(url)
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
    const cache = createCache({ ttl: freshFor / 1000, stale: STALE_FOR / 1000, storage: { type: 'memory' } })
    cache.define('value', compute)
    return { read: (key) => cache.value(key), close: async () => {} }
  },
}

function poolOf(url: string): pg.Pool {
  return new pg.Pool({ connectionString: url }).on('error', () => {})
}

/** From bench/node_modules, where `npm run bench` has put it. */
// biome-ignore lint/suspicious/noExplicitAny: peers are not installed when types are checked
async function peer(name: string): Promise<any> {
  return await import(import.meta.resolve(name))
}
