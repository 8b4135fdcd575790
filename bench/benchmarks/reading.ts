import { defineToast } from '@async-gen/runtime'
import pg from 'pg'
import { openApplication } from '../application.js'
import { caches } from '../caches.js'
import type { BenchContext } from '../context.js'
import type { Column, Table } from '../result.js'
import { alternate, rate, repeat, time } from '../rounds.js'

const VALUE = { oat: 'meal', servings: 3, toppings: ['Nuts', 'Honey', 'Figs'] }

const TOGETHER = 50

const SELECT = 'a prepared SELECT of the row, with pg'

/** Longer than the benchmark takes, in milliseconds. */
const LONG = 3_600_000

/** How many cached values a second one process reads: fresh, stale, and many at once. */
export async function reading({ short, database }: BenchContext): Promise<Table[]> {
  const url = await database()
  const { prisma, db, close } = await openApplication(url, { poolSize: 10 })
  const pool = new pg.Pool({ connectionString: url }).on('error', () => {})
  const records = Array.from({ length: TOGETHER }, (_, i) => ({ id: i + 1, updatedAt: new Date(0) }))
  const [record] = records as [(typeof records)[number]]
  const toast = defineToast(db, 'oat.breakfast', { load: async () => record, compute: () => VALUE })
  for (const each of records) await toast.fresh(each)
  const { id } = await prisma.toast.findFirstOrThrow()

  const makers = Object.entries(caches)
  const fresh = await Promise.all(makers.map(async ([, make]) => await make(url, async () => VALUE, LONG)))
  // With no worker alive, `fetch` of async-gen would compute the value at once.
  const peers = makers.filter(([name]) => name !== 'async-gen')
  const stale = await Promise.all(peers.map(async ([name, make]) => await staleCache(name, make, url)))

  const select = (columns: string) => {
    const text = `SELECT ${columns} FROM toasts WHERE name = $1 AND key = $2`
    const values = [toast.toastName, toast.keyOf(record)]
    return () => pool.query({ name: columns, text, values })
  }
  const readers: Record<string, () => Promise<unknown>> = {
    [SELECT]: select('*'),
    'a prepared SELECT of its value alone': select('value'),
    'Prisma: findUnique': () => prisma.toast.findUnique({ where: { id } }),
    'async-gen: a toast': () => toast(record),
    ...Object.fromEntries(makers.map(([name], i) => [titleOf(name), () => fresh[i]!.read('key', 1)])),
  }
  const changed = { id: record.id, updatedAt: new Date(1) }
  const staleReaders: Record<string, () => Promise<unknown>> = {
    'async-gen: a toast': () => toast(changed),
    ...Object.fromEntries(peers.map(([name], i) => [name, () => stale[i]!.read(`stale ${name}`, 2)])),
  }
  const text = 'SELECT * FROM toasts WHERE name = $1 AND key = ANY ($2::text[])'
  const values = [toast.toastName, records.map((each) => toast.keyOf(each))]
  const batches: Record<string, () => Promise<unknown>> = {
    'a prepared SELECT of the rows, with pg': () => pool.query({ name: 'many', text, values }),
    'Prisma: findMany': () =>
      prisma.toast.findMany({ where: { name: toast.toastName, key: { in: values[1] as string[] } } }),
    'async-gen: toast.many': () => toast.many(records),
    'async-gen: a toast, 50 times in one tick': () => Promise.all(records.map((each) => toast(each))),
  }

  const count = short ? 50 : 2000
  const rounds = short ? 1 : 7
  const columns: Column[] = [{ key: 'rate', title: 'reads a second', digits: 0, hasRatio: true }]
  const oneByOne = (read: () => Promise<unknown>) => () => repeat(count, read)
  const together = (read: () => Promise<unknown>) => () =>
    repeat(count / TOGETHER, () => Promise.all(Array.from({ length: TOGETHER }, read)))
  const measure = (all: typeof readers, way: (read: () => Promise<unknown>) => () => Promise<unknown>, reads = count) =>
    alternate(
      Object.entries(all).map(([name, read]) => ({
        name,
        round: async () => ({ rate: rate(reads, await time(way(read))) }),
      })),
      rounds,
    )
  try {
    return [
      {
        id: 'fresh',
        title: 'Reading a fresh value',
        method: `${count} reads, one after the other.`,
        columns,
        rows: await measure(readers, oneByOne),
        base: SELECT,
      },
      {
        id: 'together',
        title: `Reading a fresh value, ${TOGETHER} times in one tick`,
        method: 'Readers that do not know of each other.',
        columns,
        rows: await measure(readers, together),
        base: SELECT,
      },
      {
        id: 'stale',
        title: 'Reading a stale value while it is refreshed',
        method: `${count} reads, one after the other. The refresh does not end meanwhile.`,
        columns,
        rows: await measure(staleReaders, oneByOne),
        base: 'async-gen: a toast',
      },
      {
        id: 'batched',
        title: `Reading ${TOGETHER} values`,
        method: `The fresh values of ${TOGETHER} records.`,
        columns,
        rows: await measure(batches, (read) => () => repeat(count / TOGETHER, read)),
        base: 'a prepared SELECT of the rows, with pg',
      },
    ]
  } finally {
    for (const cache of [...fresh, ...stale]) await cache.close()
    await pool.end()
    await close()
  }
}

/** A cache with a value that is stale and whose refresh does not end. */
async function staleCache(name: string, make: (typeof caches)[string], url: string) {
  let computations = 0
  const compute = async () => (computations++ === 0 ? VALUE : await new Promise(() => {}))
  const cache = await make(url, compute, 1000)
  await cache.read(`stale ${name}`, 1)
  await new Promise((resolve) => setTimeout(resolve, 1200))
  return cache
}

function titleOf(name: string): string {
  return name === 'async-gen' ? 'async-gen: fetch' : name
}
