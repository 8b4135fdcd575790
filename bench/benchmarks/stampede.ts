import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { caches } from '../caches.js'
import type { BenchContext } from '../context.js'
import { startProgram } from '../programs.js'
import type { Row, Table } from '../result.js'
import { addValues } from '../rounds.js'

const PROCESSES = 8

/** How often a value is computed, and how long readers wait, when many processes want it at the same time. */
export async function stampede(context: BenchContext): Promise<Table[]> {
  const url = await context.database()
  const pool = new pg.Pool({ connectionString: url }).on('error', () => {})
  await pool.query('CREATE TABLE computations (id serial)')
  const rows: Row[] = Object.keys(caches).map((name) => ({ name, values: {} }))
  const rounds = context.short ? 1 : 3
  try {
    for (let round = 0; round < rounds; round++) {
      for (const row of rows) {
        const processes = context.short ? 2 : PROCESSES
        const member = () => join(row.name, url, `crowd ${round}`)
        // One process before the others: it creates the table of the cache.
        const first = await member()
        const crowd = [first, ...(await Promise.all(Array.from({ length: processes - 1 }, member)))]
        const cold = await release(crowd, pool, 1)
        await sleep(1000)
        const stale = await release(crowd, pool, 2)
        addValues(row, {
          cold: cold.computations,
          coldTime: cold.time,
          stale: stale.computations,
          staleTime: stale.time,
        })
        await Promise.all(crowd.map(({ leave }) => leave()))
      }
    }
  } finally {
    await pool.end()
  }
  return [
    {
      id: 'stampede',
      title: 'Stampedes',
      method: `${PROCESSES} processes with 200 readers each want one value at the same time, whose computation takes 300 ms: first there is none, then a stale one.`,
      columns: [
        { key: 'cold', title: 'computations, no value', digits: 0 },
        { key: 'coldTime', title: 'ms until all have it', digits: 0 },
        { key: 'stale', title: 'computations, stale value', digits: 0 },
        { key: 'staleTime', title: 'ms until all have it (stale)', digits: 0 },
      ],
      rows,
    },
  ]
}

interface Member {
  /** Lets its readers read, and returns how many milliseconds all of them took. */
  read(version: number): Promise<number>
  leave(): Promise<void>
}

async function join(name: string, url: string, key: string): Promise<Member> {
  const child = await startProgram('crowd', [name, url, key])
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`A process that reads with ${name} ended`)))
  ended.catch(() => {})
  await Promise.race([once(child, 'message'), ended])
  return {
    read: async (version) => {
      child.send(version)
      const [took] = await once(child, 'message')
      return took
    },
    leave: async () => {
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

async function release(crowd: Member[], pool: pg.Pool, version: number) {
  await pool.query('TRUNCATE computations')
  const times = await Promise.all(crowd.map(({ read }) => read(version)))
  // A refresh in the background has begun by then.
  await sleep(1000)
  const { rows } = await pool.query('SELECT count(*)::int AS count FROM computations')
  return { computations: rows[0].count as number, time: Math.max(...times) }
}
