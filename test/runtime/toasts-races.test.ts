import { asyncCached, hasToast, sweep } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { db } from '../.app/src/async/database.js'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'

await testDatabase()

beforeEach(async () => {
  await prisma.toast.deleteMany()
  await prisma.$executeRaw`DELETE FROM graphile_worker._private_jobs`
})

afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

const createOat = () => prisma.oat.create({ data: { name: 'Steel cut' } })
const rowOf = ({ toastName }: { toastName: string }) => prisma.toast.findFirstOrThrow({ where: { name: toastName } })
const setRow = (toast: { toastName: string }, data: object) =>
  prisma.toast.updateMany({ where: { name: toast.toastName }, data })

/** The id of no worker. */
const DEAD = 2 ** 31 - 1

let toasts = 0
const nextName = () => `race_${++toasts}`

/** Locks the rows of a toast, as a long transaction of the host does, until the returned function is called. */
async function lockRows({ toastName }: { toastName: string }) {
  const [locked, end] = [gate(), gate()]
  const transaction = prisma.$transaction(
    async (tx) => {
      await tx.$executeRaw`UPDATE toasts SET epoch = epoch WHERE name = ${toastName}`
      locked.open()
      await end.opened
    },
    { timeout: 60_000 },
  )
  await Promise.race([locked.opened, transaction])
  return async () => {
    end.open()
    await transaction
  }
}

/** Makes the statements of these names fail, as after a lost connection. Returns a function that ends it. */
function breakStatements(names: string[], times: number) {
  const { pool } = db
  const query = pool.query
  let left = times
  pool.query = ((config: { name?: string }, ...rest: never[]) => {
    if (left > 0 && names.includes(config.name ?? '')) {
      left--
      return Promise.reject(new Error('permission denied'))
    }
    return (query as (...args: unknown[]) => unknown).call(pool, config, ...rest)
  }) as typeof query
  return () => {
    pool.query = query
  }
}

/** Calls a function right before a statement of that name is sent for the first time. */
function beforeStatement(name: string, happen: () => Promise<unknown>) {
  const { pool } = db
  const query = pool.query
  pool.query = (async (config: { name?: string }, ...rest: never[]) => {
    if (config.name === name) {
      pool.query = query
      await happen()
    }
    return await (query as (...args: unknown[]) => unknown).call(pool, config, ...rest)
  }) as typeof query
}

describe('a refresh whose outcome could not be stored', () => {
  it('T8: is released by the sweep although its worker is alive; a running one is not', async () => {
    const oat = await createOat()
    const done = gate()
    const lost = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const held = hasToast(db, 'oat', nextName(), { compute: () => done.opened.then(() => 1) })
    await Promise.all([lost(oat), held(oat)])
    const repair = breakStatements(['toasts:store', 'toasts:store-failure'], 2)
    await expect(refreshNow(db, lost, oat)).rejects.toThrow('permission denied')
    repair()
    const holding = refreshNow(db, held, oat)
    await eventually('the claim', async () => (await rowOf(held)).lockedBy !== null)
    expect(await sweep(db)).toMatchObject({ rescued: 0 })

    await prisma.$executeRaw`UPDATE toasts SET updated_at = now() - interval '2 minutes'`
    expect(await sweep(db)).toMatchObject({ rescued: 1 })
    expect(await rowOf(lost)).toMatchObject({ lockedBy: null, failures: 1, error: { name: 'WorkerDied' } })
    done.open()
    await holding
    expect(await rowOf(held)).toMatchObject({ lockedBy: null, value: 1, failures: 0 })
  })

  it('T8: is released after any number of earlier failures', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    await breakfast(await createOat())
    await setRow(breakfast, { lockedBy: DEAD, failures: 5000 })
    expect(await sweep(db)).toMatchObject({ rescued: 1 })
    const { refreshAt, failures } = await rowOf(breakfast)
    expect(failures).toBe(5001)
    expect(refreshAt!.getTime() - Date.now(), 'an hour, give or take a fifth').toBeLessThan(4_330_000)
  })
})

describe('an error of the database', () => {
  it('T5: is thrown by the read that requests a refresh, and T8: by the job that claims it', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const oat = await createOat()
    const repair = breakStatements(['toasts:request', 'toasts:claim'], 2)
    await expect(breakfast(oat)).rejects.toThrow('permission denied')
    await expect(refreshNow(db, breakfast, oat)).rejects.toThrow('permission denied')
    repair()
  })
})

describe('a due refresh', () => {
  it('T10, C10: runs once, even with several jobs for it', async () => {
    const done = gate()
    let computations = 0
    const breakfast = hasToast(db, 'oat', nextName(), {
      compute: async () => {
        computations++
        await done.opened
        return 1
      },
    })
    const oat = await createOat()
    await breakfast(oat)
    const id = { name: breakfast.toastName, key: breakfast.keyOf(oat) }
    const first = refreshToast(db, id)
    await eventually('the computation', async () => computations === 1)
    const second = refreshToast(db, id)
    const demanded = breakfast.fresh(oat)
    await prisma.$executeRaw`DELETE FROM graphile_worker._private_jobs`
    expect(await sweep(db)).toMatchObject({ rescued: 0, enqueued: 0 })
    // The waiting caller checks after a while whether the computing worker is alive. At that moment the computation ends.
    beforeStatement('toasts:claim-now', () => {
      done.open()
      return first
    })
    expect([await first, await second]).toEqual(['refreshed', 'nothing to do'])
    expect(await demanded).toMatchObject({ value: 1 })
    expect(await refreshToast(db, id)).toBe('nothing to do')
    expect(computations).toBe(1)
  })
})

describe('a late computation', () => {
  it.each([
    [
      'a row that was deleted and created again since it began',
      async () => void (await prisma.$executeRaw`TRUNCATE toasts`),
    ],
    [
      'a row that the same process has claimed again',
      async () => {
        await prisma.toast.updateMany({ data: { lockedBy: DEAD } })
        await sweep(db)
        await prisma.toast.updateMany({ data: { refreshAt: new Date(0) } })
      },
    ],
  ])('T10: cannot write into %s', async (_, change) => {
    const oat = await createOat()
    const [first, second] = [gate(), gate()]
    let computations = 0
    const breakfast = hasToast(db, 'oat', nextName(), {
      expireIn: '1 year',
      compute: async () => {
        const computation = ++computations
        await (computation === 1 ? first : second).opened
        return { computation }
      },
    })
    await breakfast(oat)
    const id = { name: breakfast.toastName, key: breakfast.keyOf(oat) }
    const late = refreshToast(db, id)
    await eventually('the first computation', async () => computations === 1)
    await change()
    await breakfast(oat)
    const current = refreshToast(db, id)
    await eventually('the second computation', async () => computations === 2)
    first.open()
    expect(await late).toBe('superseded')
    second.open()
    expect(await current).toBe('refreshed')
    expect(await breakfast(oat)).toMatchObject({ computation: 2 })
  })

  it('T10: cannot write into a row that `fresh` in the same process has claimed since', async () => {
    const oat = await createOat()
    const [first, second] = [gate(), gate()]
    let computations = 0
    const breakfast = hasToast(db, 'oat', nextName(), {
      expireIn: '1 year',
      compute: async () => {
        const computation = ++computations
        await (computation === 1 ? first : second).opened
        return { computation }
      },
    })
    await breakfast(oat)
    const late = refreshToast(db, { name: breakfast.toastName, key: breakfast.keyOf(oat) })
    await eventually('the first computation', async () => computations === 1)
    await prisma.toast.updateMany({ data: { lockedBy: DEAD } })
    const fresh = breakfast.fresh(oat)
    await eventually('the second computation', async () => computations === 2)
    first.open()
    expect(await late).toBe('superseded')
    second.open()
    expect(await fresh).toMatchObject({ computation: 2 })
  })

  it('T13: that finds no parent does not delete a value stored since by another worker', async () => {
    const oat = await createOat()
    const slow = gate()
    let loads = 0
    const breakfast = hasToast(db, 'oat', nextName(), {
      load: async () => {
        if (++loads > 1) return oat
        await slow.opened
        return null
      },
      compute: () => 1,
    })
    await breakfast(oat)
    const id = { name: breakfast.toastName, key: breakfast.keyOf(oat) }
    const late = refreshToast(db, id)
    await eventually('the load', async () => loads === 1)
    await setRow(breakfast, { lockedBy: DEAD })
    await breakfast.fresh(oat)
    slow.open()
    expect(await late).toBe('superseded')
    expect(await breakfast(oat)).toMatchObject({ value: 1, toastr: { stale: false } })
  })
})

describe('while a transaction of the host’s has locked a toast', () => {
  it('T5: readers get the old value without waiting for the lock', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { expireIf: () => true, compute: () => 1 })
    const oat = await createOat()
    await breakfast.fresh(oat)
    const letGo = await lockRows(breakfast)
    const reading = await Promise.race([
      breakfast(oat),
      new Promise((resolve) => setTimeout(resolve, 60_000, 'waited')),
    ])
    await letGo()
    expect(reading).toMatchObject({ value: 1, toastr: { stale: true } })
    expect(await rowOf(breakfast)).toMatchObject({ refreshAt: null })
    await breakfast(oat)
    expect((await rowOf(breakfast)).refreshAt).not.toBeNull()
  })

  it('T5: transactions that read several in opposite orders all end', async () => {
    const name = nextName()
    const toast = (letter: string) =>
      hasToast(db, 'oat', `${name}_${letter}`, { expireIf: () => true, compute: () => 1 })
    const [a, b, c] = [toast('a'), toast('b'), toast('c')] as const
    const oat = await createOat()
    for (const toast of [a, b, c]) await toast.fresh(oat)
    const letGo = await lockRows(c)
    const reading: Promise<unknown[]>[] = []
    for (const order of [
      [a, c, b],
      [b, a],
    ]) {
      reading.push(
        prisma.$transaction((tx) => Promise.all(order.map((toast) => toast(oat, { tx }))), { timeout: 60_000 }),
      )
      await eventually('the transaction to wait', async () => {
        const [{ waiting }] = await prisma.$queryRaw<[{ waiting: number }]>`
          SELECT count(*)::int AS waiting FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'`
        return waiting === reading.length
      })
    }
    await letGo()
    for (const values of await Promise.all(reading))
      for (const value of values) expect(value).toMatchObject({ value: 1 })
  })

  it('T8: the worker does not wait for the lock, and refreshes it afterwards', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const oat = await createOat()
    await breakfast(oat)
    const letGo = await lockRows(breakfast)
    const id = { name: breakfast.toastName, key: breakfast.keyOf(oat) }
    const outcome = await Promise.race([
      refreshToast(db, id),
      new Promise((resolve) => setTimeout(resolve, 60_000, 'waited')),
    ])
    await prisma.$executeRaw`DELETE FROM graphile_worker._private_jobs`
    expect(await sweep(db)).toMatchObject({ enqueued: 0 })
    await letGo()
    expect(outcome).toBe('nothing to do')
    expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    expect(await refreshToast(db, id)).toBe('refreshed')
  })

  it('T8: the sweep does not wait for the lock, and releases the other toasts', async () => {
    const [locked, free] = [1, 2].map(() => hasToast(db, 'oat', nextName(), { compute: () => 1 }))
    const oat = await createOat()
    for (const toast of [locked!, free!]) {
      await toast(oat)
      await setRow(toast, { lockedBy: DEAD })
    }
    const letGo = await lockRows(locked!)
    const swept = await Promise.race([sweep(db), new Promise((resolve) => setTimeout(resolve, 60_000, 'waited'))])
    await letGo()
    expect(swept).toMatchObject({ rescued: 1 })
    expect(await rowOf(free!)).toMatchObject({ lockedBy: null })
    expect(await sweep(db)).toMatchObject({ rescued: 1 })
  })
})

describe('a computation that needs a toast', () => {
  it('T10: that reads its own toast gets an error in place of a deadlock', async () => {
    const oat = await createOat()
    const self = hasToast(db, 'oat', nextName(), {
      compute: async (loaded): Promise<unknown> => await self.fresh(loaded),
    })
    await expect(self.fresh(oat)).rejects.toThrow(expect.objectContaining({ code: 'NEEDS_ITSELF' }))
    await prisma.$executeRaw`UPDATE toasts SET refresh_at = now()`
    await refreshNow(db, self, oat)
    expect((await rowOf(self)).error).toMatchObject({ code: 'NEEDS_ITSELF' })
  })

  it('T10: with a circular dependency gets an error that names the whole circle', async () => {
    const oat = await createOat()
    const [a, b] = [nextName(), nextName()]
    const first = hasToast(db, 'oat', a, { compute: async (loaded): Promise<unknown> => await second.fresh(loaded) })
    const second = hasToast(db, 'oat', b, { compute: async (loaded): Promise<unknown> => await first.fresh(loaded) })
    await expect(first.fresh(oat)).rejects.toThrow(
      `oat.${a} of ${oat.id} needs oat.${b} of ${oat.id} needs oat.${a} of ${oat.id}`,
    )
  })

  it('may read its own toast in code that still runs after it has ended', async () => {
    const oat = await createOat()
    const later = gate()
    let goesOn: Promise<unknown> = Promise.resolve()
    const breakfast = hasToast(db, 'oat', nextName(), {
      compute: (loaded): unknown => {
        goesOn = later.opened.then(() => breakfast.fresh(loaded))
        return 1
      },
    })
    await breakfast.fresh(oat)
    later.open()
    expect(await goesOn).toMatchObject({ value: 1 })
  })

  it('waits until the toast of another record is computed', async () => {
    const [oat, base] = [await createOat(), await createOat()]
    const sum = hasToast(db, 'oat', nextName(), {
      compute: async (loaded): Promise<unknown> => (loaded.id === base.id ? 1 : { base: await sum.fresh(base) }),
    })
    expect(await sum.fresh(oat)).toMatchObject({ base: { value: 1 } })
  })

  it('C14: of a cached function may call the function with other arguments, not with the same', async () => {
    const factorial = asyncCached(db, nextName(), async (n: number): Promise<number> => {
      if (n === 13) return factorial.fetch('n', 1, { arguments: [13] })
      return n <= 1 ? 1 : n * (await factorial.fetch('n', 1, { arguments: [n - 1] }))
    })
    expect(await factorial.fetch('n', 1, { arguments: [5] })).toBe(120)
    await expect(factorial.fetch('n', 1, { arguments: [13] })).rejects.toThrow(
      expect.objectContaining({ code: 'NEEDS_ITSELF' }),
    )
  })
})

describe('the value that a reader gets', () => {
  it('T7, C4: is a copy: the changes of one reader do not affect the others', async () => {
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => ({ list: [1] }) })
    const thing = asyncCached(db, nextName(), () => ({ list: [1] }))
    const fetch = () => thing.fetch('thing', 1)
    for (const read of [() => breakfast.fresh(oat), () => breakfast(oat, { wait: '1s' }), fetch, fetch]) {
      const all = (await Promise.all([read(), read(), read()])) as { list: number[] }[]
      for (const { list } of all) list.push(2)
      expect(all.map(({ list }) => list)).toEqual([
        [1, 2],
        [1, 2],
        [1, 2],
      ])
    }
  })
})

describe('a wrong clock', () => {
  it('T6: of a reader or a worker does not change the age of a value', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { expireIn: '1 hour', maxStale: '2 hours', compute: () => 1 })
    const thing = asyncCached(db, nextName(), () => 1)
    const oat = await createOat()
    const fetch = () => thing.fetch('thing', 1, { expiresIn: '1 hour' })
    for (const days of [-1, 1]) {
      await prisma.toast.deleteMany()
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * 86_400_000 })
      await Promise.all([breakfast.fresh(oat), fetch()])
      vi.useRealTimers()
      expect(await breakfast(oat)).toMatchObject({ toastr: { stale: false } })
      expect(Math.abs((await rowOf(breakfast)).cachedAt!.getTime() - Date.now())).toBeLessThan(60_000)

      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * 86_400_000 })
      expect(await breakfast(oat)).toMatchObject({ toastr: { stale: false } })
      await fetch()
      vi.useRealTimers()
      expect(await prisma.toast.findMany({ where: { name: thing.cachedName } })).toMatchObject([{ run: 1 }])
      await prisma.$executeRaw`UPDATE toasts SET cached_at = cached_at - interval '90 minutes', expires_at = expires_at - interval '90 minutes'`
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * 86_400_000 })
      expect(await breakfast(oat)).toMatchObject({ toastr: { stale: true } })
      await fetch()
      vi.useRealTimers()
      expect(await prisma.toast.findMany({ where: { name: thing.cachedName } })).toMatchObject([{ run: 2 }])
    }
  })
})

describe('many, in a transaction', () => {
  it('T12: takes one read and one request, and reads see the changes of the transaction', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const texts: string[] = []
    const oats = await prisma.$transaction(async (tx) => {
      await tx.oat.createMany({ data: Array.from({ length: 50 }, (_, i) => ({ name: `Many ${i}` })) })
      const created = await tx.oat.findMany({ where: { name: { startsWith: 'Many ' } } })
      const counting = {
        $queryRawUnsafe: <T>(text: string, ...values: unknown[]) => {
          texts.push(text)
          return tx.$queryRawUnsafe<T>(text, ...values)
        },
      }
      await breakfast.many(created, { tx: counting })
      return created
    })
    expect(texts).toHaveLength(2)
    expect(await prisma.toast.count({ where: { name: breakfast.toastName } })).toBe(oats.length)
  })
})
