import { getEventListeners } from 'node:events'
import { asyncCached, defineToast, hasToast, pruneToasts, sweep } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { presenceOf } from '../../runtime/src/presence/presence.js'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { toastsOf } from '../../runtime/src/toast/registry.js'
import { db } from '../.app/src/async/database.js'
import { MonthlySales } from '../.app/src/async/reports/monthly_sales.js'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'
import { countQueries } from '../support/queries.js'

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
const ageOf = (toast: { toastName: string }, age: object) =>
  prisma.toast.updateMany({ where: { name: toast.toastName }, data: age })

/** The id of no worker. */
const DEAD = 2 ** 31 - 1

let toasts = 0
const nextName = () => `refresh_${++toasts}`

describe('an outage', () => {
  let down = true
  let tries = 0
  const breakfast = hasToast(db, 'oat', 'outage', {
    expireIn: '1 day',
    compute: async () => {
      tries++
      if (down) throw new Error('The mill is closed', { cause: new Error('no water') })
      return { oat: 'meal' }
    },
  })
  /** As the worker does when the next try is due. */
  const nextTry = async (oat: { id: number; name: string; updatedAt: Date }) => {
    await ageOf(breakfast, { refreshAt: new Date(0) })
    await refreshNow(db, breakfast, oat)
  }

  beforeEach(() => {
    tries = 0
    down = true
  })

  it('T8: many reads cause one try for each step of the backoff', async () => {
    const oat = await createOat()
    for (let i = 0; i < 20; i++) {
      await breakfast(oat)
      await refreshToast(db, { name: breakfast.toastName, key: breakfast.keyOf(oat) })
    }
    expect(tries).toBe(1)
    const first = await rowOf(breakfast)
    expect(first.expiresAt, 'one that is tried again is not forgotten').toBeNull()
    const pause = ({ refreshAt, updatedAt }: typeof first) => refreshAt!.getTime() - updatedAt.getTime()
    expect(pause(first)).toBeGreaterThan(1500)
    expect(pause(first)).toBeLessThan(2500)

    await nextTry(oat)
    expect(tries).toBe(2)
    const second = await rowOf(breakfast)
    expect(second.failures).toBe(2)
    expect(pause(second)).toBeGreaterThan(3000)
    const statements = await countQueries(db, async () => {
      await breakfast(oat)
    })
    expect(statements).toBe(1)
  })

  it('T8: without a value, readers get the placeholder with the error, without its stack', async () => {
    const oat = await createOat()
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toEqual({
      error: 'Data not yet available',
      cause: { name: 'Error', message: 'The mill is closed' },
    })
    expect((await rowOf(breakfast)).error).toMatchObject({
      stack: expect.stringContaining('toasts-refresh.test.ts'),
      cause: { message: 'no water' },
    })
  })

  it('T8, T17: the old value stays, with `stale` and `error`; the first success clears them', async () => {
    const oat = await createOat()
    down = false
    await breakfast.fresh(oat)
    down = true
    await breakfast.expire(oat)
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toMatchObject({
      oat: 'meal',
      toastr: { stale: true, error: { name: 'Error', message: 'The mill is closed' } },
    })
    down = false
    await nextTry(oat)
    const { toastr } = (await breakfast(oat)) as { toastr: object }
    expect(toastr).toMatchObject({ stale: false })
    expect(toastr).not.toHaveProperty('error')
    expect(await rowOf(breakfast)).toMatchObject({ failures: 0, error: null, refreshAt: null })
  })

  it('T8: `expire` does not wait for the next step of the backoff', async () => {
    const oat = await createOat()
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    down = false
    await breakfast.expire(oat)
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toMatchObject({ oat: 'meal', toastr: { stale: false } })
  })

  it('T8: `fresh` throws the error of `compute`, and the worker tries again later', async () => {
    const oat = await createOat()
    await expect(breakfast.fresh(oat)).rejects.toThrow('The mill is closed')
    const { refreshAt, lockedBy } = await rowOf(breakfast)
    expect(refreshAt!.getTime()).toBeGreaterThan(Date.now())
    expect(lockedBy).toBeNull()
  })

  it('a failure ends `wait` before its timeout', async () => {
    const oat = await createOat()
    const before = performance.now()
    const reading = breakfast(oat, { wait: '10s' })
    await vi.waitFor(() => rowOf(breakfast))
    await refreshNow(db, breakfast, oat)
    expect(await reading).toMatchObject({ error: 'Data not yet available', cause: { message: 'The mill is closed' } })
    expect(performance.now() - before).toBeLessThan(5000)
  })
})

describe('a worker that is too late', () => {
  it('T10: cannot overwrite the value of the worker that superseded it', async () => {
    const oat = await createOat()
    let wake = () => {}
    const asleep = new Promise<void>((resolve) => {
      wake = resolve
    })
    let runs = 0
    const breakfast = hasToast(db, 'oat', nextName(), {
      compute: async () => {
        const run = ++runs
        if (run === 1) await asleep
        return { run }
      },
    })
    await breakfast(oat)
    const id = { name: breakfast.toastName, key: breakfast.keyOf(oat) }
    const zombie = refreshToast(db, id)
    await vi.waitFor(() => expect(runs).toBe(1))

    await ageOf(breakfast, { lockedBy: DEAD })
    await sweep(db)
    await ageOf(breakfast, { refreshAt: new Date(0) })
    expect(await refreshToast(db, id)).toBe('refreshed')
    wake()
    expect(await zombie).toBe('superseded')
    expect(await breakfast(oat)).toMatchObject({ run: 2 })
  })

  it('T10: learns when it reports progress that another worker has superseded it', async () => {
    const oat = await createOat()
    let reason: { code?: string } = {}
    const breakfast = hasToast(db, 'oat', nextName(), {
      compute: async (_, { signal, progress }) => {
        await ageOf(breakfast, { lockedBy: DEAD })
        progress(0.5)
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        reason = signal.reason
        return {}
      },
    })
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    expect(reason.code).toBe('SUPERSEDED')
  })

  it('T8: a refresh whose worker died is released and gets a job', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const oat = await createOat()
    await breakfast(oat)
    await ageOf(breakfast, { lockedBy: DEAD, progress: 0.5 })
    await prisma.$executeRaw`DELETE FROM graphile_worker._private_jobs`
    expect(await sweep(db)).toMatchObject({ rescued: 1 })
    const row = await rowOf(breakfast)
    expect(row).toMatchObject({ lockedBy: null, failures: 1, progress: null, error: { name: 'WorkerDied' } })
    expect(await prisma.$queryRaw`SELECT key FROM graphile_worker.jobs`).toEqual([{ key: `toast:${row.id}` }])
  })

  it('C14: `fresh` computes the value after the process that computed it died', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => ({ oat: 'meal' }) })
    const oat = await createOat()
    await breakfast(oat)
    await ageOf(breakfast, { lockedBy: DEAD })
    expect(await breakfast.fresh(oat)).toMatchObject({ oat: 'meal' })
  })

  it('a refresh without a job gets one', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    await breakfast(await createOat())
    await prisma.$executeRaw`DELETE FROM graphile_worker._private_jobs`
    await sweep(db)
    expect(await prisma.$queryRaw`SELECT key FROM graphile_worker.jobs`).toHaveLength(1)
    // One that Graphile Worker has given up is none.
    await prisma.$executeRaw`UPDATE graphile_worker._private_jobs SET attempts = max_attempts`
    expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    expect(await sweep(db)).toMatchObject({ enqueued: 0 })
  })
})

describe('progress', () => {
  it('that is not a number is not stored', async () => {
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', nextName(), {
      compute: async (_, { progress }) => {
        progress(Number.NaN)
        progress(0 / 1)
        await vi.waitFor(async () => expect((await rowOf(breakfast)).progress).toBe(0))
        return {}
      },
    })
    await breakfast.fresh(oat)
    expect(await rowOf(breakfast)).toMatchObject({ failures: 0, progress: null })
  })

  it('is shown to readers, with a placeholder and with a stale value, until the refresh ends', async () => {
    const oat = await createOat()
    const seen: unknown[] = []
    const breakfast = hasToast(db, 'oat', nextName(), {
      expireIn: '1 day',
      compute: async (loaded, { progress }) => {
        progress(0.25, 'a quarter')
        progress(0.75, 'most')
        await vi.waitFor(async () => expect((await rowOf(breakfast)).progress).toBe(0.25))
        seen.push(await breakfast(loaded))
        // The latest report is stored half a second later.
        await vi.waitFor(async () => expect((await rowOf(breakfast)).progressMessage).toBe('most'), 5000)
        return {}
      },
    })
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    await breakfast.expire(oat)
    await refreshNow(db, breakfast, oat)
    expect(seen).toEqual([
      { error: 'Data not yet available', progress: 0.25, progressMessage: 'a quarter' },
      { toastr: expect.objectContaining({ stale: true, progress: 0.25, progressMessage: 'a quarter' }) },
    ])
    expect(((await breakfast(oat)) as { toastr: object }).toastr).not.toHaveProperty('progress')
    expect(await rowOf(breakfast)).toMatchObject({ progress: null, progressMessage: null })
  })
})

describe('a worker that stops', () => {
  it('keeps no listener for a refresh that has ended', async () => {
    const stopping = new AbortController()
    const listening = () => getEventListeners(stopping.signal, 'abort').length
    const seen: number[] = []
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => seen.push(listening()) })
    const oat = await createOat()
    await breakfast(oat)
    await refreshToast(db, { name: breakfast.toastName, key: breakfast.keyOf(oat) }, stopping.signal)
    expect(seen).toEqual([1])
    expect(listening()).toBe(0)
  })

  it('aborts a refresh at once that begins after the stop signal', async () => {
    const oat = await createOat()
    const seen: boolean[] = []
    const breakfast = hasToast(db, 'oat', nextName(), { compute: (_, { signal }) => seen.push(signal.aborted) })
    await breakfast(oat)
    await refreshToast(db, { name: breakfast.toastName, key: breakfast.keyOf(oat) }, AbortSignal.abort())
    expect(seen).toEqual([true])
  })

  it('releases an aborted refresh, so that it is due at once', async () => {
    const stopping = new AbortController()
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', nextName(), {
      compute: async (_, { signal }) => {
        stopping.abort(new Error('stop'))
        signal.throwIfAborted()
        return {}
      },
    })
    await breakfast(oat)
    const id = { name: breakfast.toastName, key: breakfast.keyOf(oat) }
    expect(await refreshToast(db, id, stopping.signal)).toBe('released')
    const row = await rowOf(breakfast)
    expect(row).toMatchObject({ lockedBy: null, failures: 0, error: null })
    expect(row.refreshAt!.getTime()).toBeLessThanOrEqual(Date.now() + 1000)
    expect(await prisma.$queryRaw`SELECT key FROM graphile_worker.jobs`).toEqual([{ key: `toast:${row.id}` }])
  })
})

describe('pruning', () => {
  it('T13: deletes the toasts of parents that are gone, with any type of key, and no others', async () => {
    const [kept, gone] = [await createOat(), await createOat()]
    const shelf = await prisma.shelf.create({ data: { aisle: 1, level: 'a' } })
    const goneShelf = await prisma.shelf.create({ data: { aisle: 1, level: 'b' } })
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const stock = hasToast(db, 'shelf', nextName(), { id: ['aisle', 'level'], compute: () => 1 })
    await breakfast.many([kept, gone])
    await stock.many([shelf, goneShelf])
    await prisma.oat.delete({ where: { id: gone.id } })
    await prisma.shelf.delete({ where: { aisle_level: { aisle: 1, level: 'b' } } })

    expect(await pruneToasts(db)).toBe(2)
    const keys = (await prisma.toast.findMany({ orderBy: { id: 'asc' } })).map(({ key }) => key)
    expect(keys).toEqual([String(kept.id), '[1, "a"]'])
    expect(await pruneToasts(db)).toBe(0)
  })

  it('T13: throws the error of one model after it has pruned the toasts of the others', async () => {
    const broken = `wheat.${nextName()}`
    const existingKeys = async () => {
      throw new Error('no wheat')
    }
    defineToast(db, broken, { load: async () => null, compute: () => 1, existingKeys })
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const gone = await createOat()
    await breakfast(gone)
    await prisma.oat.delete({ where: { id: gone.id } })
    await prisma.toast.create({ data: { name: broken, key: '1' } })
    await expect(pruneToasts(db)).rejects.toThrow('no wheat')
    toastsOf(db).definitions.delete(broken)
    expect(await prisma.toast.findMany()).toMatchObject([{ name: broken }])
  })

  it('T13: deletes the other toasts of a model if one key fails the query for parents', async () => {
    const name = `wheat.${nextName()}`
    const existingKeys = async (keys: string[]) => {
      if (keys.includes('"odd"')) throw new Error('no number')
      return new Set(['1'])
    }
    defineToast(db, name, { load: async () => null, compute: () => 1, existingKeys })
    const keys = ['1', '2', '"odd"', '3', '4']
    await prisma.toast.createMany({ data: keys.map((key) => ({ name, key })) })
    await expect(pruneToasts(db)).rejects.toThrow('no number')
    toastsOf(db).definitions.delete(name)
    expect((await prisma.toast.findMany({ orderBy: { id: 'asc' } })).map(({ key }) => key)).toEqual(['1', '"odd"'])
  })

  it('T13: deletes the toasts of reports that are gone', async () => {
    const report = await MonthlySales.create({})
    await report.build()
    expect(await pruneToasts(db)).toBe(0)
    await prisma.report.deleteMany()
    expect(await pruneToasts(db)).toBe(1)
  })

  it('T13: a refresh whose parent is gone deletes its toast', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const oat = await createOat()
    await breakfast(oat)
    await prisma.oat.delete({ where: { id: oat.id } })
    await refreshNow(db, breakfast, oat)
    expect(await prisma.toast.count()).toBe(0)
    await expect(breakfast.fresh(oat)).rejects.toThrow(expect.objectContaining({ code: 'PARENT_GONE' }))
  })

  it('C7: deletes expired entries, and errors without a value that are a day old', async () => {
    const name = nextName()
    const cached = asyncCached(db, name, (fails: boolean) => {
      if (fails) throw new Error('no')
    })
    await cached.fetch('expired', 1, { arguments: [false], expiresIn: 1 })
    await cached.fetch('being computed', 1, { arguments: [false], expiresIn: 1 })
    const { id: worker } = await presenceOf(db)
    await prisma.toast.updateMany({ where: { key: { startsWith: 'being' } }, data: { lockedBy: worker } })
    await cached.fetch('kept', 1, { arguments: [false], expiresIn: '1 day' })
    await cached.fetch('for ever', 1, { arguments: [false] })
    await expect(cached.fetch('failed', 1, { arguments: [true] })).rejects.toThrow('no')
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await pruneToasts(db)).toBe(1)
    await prisma.$executeRaw`UPDATE toasts SET expires_at = expires_at - interval '25 hours'`
    expect(await pruneToasts(db)).toBe(2)
    const left = (await prisma.toast.findMany({ orderBy: { id: 'asc' } })).map(({ key }) => key.replace(/ \w+$/, ''))
    expect(left).toEqual(['being computed', 'for ever'])
  })

  it.each([1, undefined])(
    'deletes the values of older versions of the code after a day (version %s)',
    async (version) => {
      const oat = await createOat()
      const method = nextName()
      const older = hasToast(db, 'oat', method, { compute: () => 1, ...(version && { version }) })
      await older.fresh(oat)
      toastsOf(db).definitions.delete(older.toastName)
      await hasToast(db, 'oat', method, { compute: () => 1, version: 2 }).fresh(oat)
      expect(await pruneToasts(db)).toBe(0)
      await prisma.$executeRaw`UPDATE toasts SET updated_at = now() - interval '25 hours'`
      expect(await pruneToasts(db)).toBe(1)
      expect(await prisma.toast.findMany()).toMatchObject([{ name: `oat.${method}@2` }])
    },
  )

  it('looks at the next thousand rows in each call', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: () => 1 })
    const oat = await createOat()
    await prisma.toast.createMany({
      data: Array.from({ length: 1000 }, (_, i) => ({ name: 'of another program', key: String(i) })),
    })
    await breakfast(oat)
    await prisma.oat.delete({ where: { id: oat.id } })
    expect(await pruneToasts(db)).toBe(0)
    expect(await pruneToasts(db)).toBe(1)
    expect(await prisma.toast.count()).toBe(1000)
  })
})

describe('in a transaction of the host’s', () => {
  it('T5: a refresh is requested only if the transaction commits', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: (oat) => ({ oat: oat.name }) })
    const oat = await createOat()
    await breakfast.fresh(oat)
    const rolledBack = prisma.$transaction(async (tx) => {
      const changed = await tx.oat.update({ where: { id: oat.id }, data: { name: 'Rolled' } })
      expect(await breakfast(changed, { tx })).toMatchObject({ oat: 'Steel cut', toastr: { stale: true } })
      await breakfast.expire(changed, { tx })
      throw new Error('no')
    })
    await expect(rolledBack).rejects.toThrow('no')
    expect(await rowOf(breakfast)).toMatchObject({ refreshAt: null, epoch: 0 })

    await prisma.$transaction(async (tx) => {
      await breakfast(await tx.oat.update({ where: { id: oat.id }, data: { name: 'Rolled' } }), { tx })
      expect(await prisma.$queryRaw`SELECT key FROM graphile_worker.jobs`).toEqual([])
    })
    const row = await rowOf(breakfast)
    expect(row.refreshAt).not.toBeNull()
    expect(await prisma.$queryRaw`SELECT key FROM graphile_worker.jobs`).toEqual([{ key: `toast:${row.id}` }])
  })

  it('T4: a first read requests a refresh for a parent that was created in it', async () => {
    const breakfast = hasToast(db, 'oat', nextName(), { compute: (oat) => ({ oat: oat.name }) })
    const oat = await prisma.$transaction(async (tx) => {
      const created = await tx.oat.create({ data: { name: 'New' } })
      expect(await breakfast(created, { tx })).toEqual({ error: 'Data not yet available' })
      return created
    })
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toMatchObject({ oat: 'New' })
  })
})
