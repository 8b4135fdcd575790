import { hasToast, isReady, type ToastOptions } from '@async-gen/runtime'
import { computeInline, refreshNow } from '@async-gen/runtime/testing'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { presenceOf } from '../../runtime/src/presence/presence.js'
import { valuesOf } from '../../runtime/src/toast/key.js'
import { toastsOf } from '../../runtime/src/toast/registry.js'
import { db } from '../.app/src/async/database.js'
import { prisma } from '../.app/src/db.js'
import { Prisma } from '../.app/src/generated/prisma/client.js'
import { testDatabase } from '../support/database.js'
import { countQueries } from '../support/queries.js'

await testDatabase()

beforeEach(() => prisma.toast.deleteMany())
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

type Oat = Awaited<ReturnType<typeof createOat>>
type Options = Pick<ToastOptions<Oat, unknown>, 'expireIn' | 'expireIf' | 'maxStale'>

/** A toast of its own that counts its computations. */
let toasts = 0
function breakfasts(options: Options = {}) {
  const computed: Oat[] = []
  const breakfast = hasToast(db, 'oat', `breakfast_${++toasts}`, {
    ...options,
    compute: async (oat) => {
      computed.push(oat)
      return { oat: oat.name, servings: computed.length }
    },
  })
  return { breakfast, computed }
}

const createOat = () => prisma.oat.create({ data: { name: 'Steel cut' } })
const change = (oat: Oat) => prisma.oat.update({ where: { id: oat.id }, data: { name: 'Rolled' } })
const rowOf = (toast: { toastName: string }) => prisma.toast.findFirst({ where: { name: toast.toastName } })
const setRow = (toast: { toastName: string }, data: object) =>
  prisma.toast.updateMany({ where: { name: toast.toastName }, data })
const jobs = () => prisma.$queryRaw<{ key: string }[]>`SELECT key FROM graphile_worker.jobs WHERE key LIKE 'toast:%'`

const PLACEHOLDER = { error: 'Data not yet available' }
const DAY = 86_400_000

describe('a toast', () => {
  it('T1: rejects an unknown option by name', () => {
    const options = { compute: () => 1, expireAfter: '1 day' }
    // @ts-expect-error: the compiler refuses it too
    expect(() => hasToast(db, 'oat', 'x', { compute: () => 1, expireAfter: '1 day' })).toThrow('"expireAfter"')
    expect(() => hasToast(db, 'oat', 'x', options)).toThrow(expect.objectContaining({ code: 'UNKNOWN_OPTION' }))
  })

  it('T1: rejects a missing `compute`, an unknown model and an invalid duration when it is defined', async () => {
    // @ts-expect-error: compute is required
    expect(() => hasToast(db, 'oat', 'x', {})).toThrow('The toast oat.x needs a function `compute`')
    // @ts-expect-error: the compiler refuses it too
    expect(() => breakfasts({ expireIn: 'soon' })).toThrow(/^expireIn of oat\.breakfast\w*: "soon" is not a duration/)
    // @ts-expect-error: the compiler refuses it too
    expect(() => breakfasts({ maxStale: '' })).toThrow(expect.objectContaining({ code: 'INVALID_DURATION' }))
    // @ts-expect-error: the client has no such model
    const wheat = () => hasToast(db, 'wheat', 'x', { compute: () => 1 })
    expect(wheat).toThrow(/has no model "wheat"\. Its models are: .*oat, /)
  })

  it('T2: `compute` calls the slow method without reading or writing a row', async () => {
    const { breakfast } = breakfasts()
    const statements = await countQueries(db, async () => {
      expect(await breakfast.compute(await createOat())).toEqual({ oat: 'Steel cut', servings: 1 })
    })
    expect(statements).toBe(0)
    expect(await rowOf(breakfast)).toBeNull()
  })

  it('T3: rejects a record that is not persisted', async () => {
    const { breakfast } = breakfasts()
    await expect(breakfast({ name: 'No id yet' } as Oat)).rejects.toThrow('Record must be persisted')
    await expect(breakfast.many([await createOat(), { id: null } as never])).rejects.toThrow('Record must be persisted')
  })

  it('T4: the first read returns a placeholder, and many reads request one refresh', async () => {
    const { breakfast, computed } = breakfasts()
    const oat = await createOat()
    expect(await breakfast(oat)).toEqual(PLACEHOLDER)
    expect(await Promise.all([breakfast(oat), breakfast(oat)])).toEqual([PLACEHOLDER, PLACEHOLDER])

    const row = await rowOf(breakfast)
    expect(await jobs()).toContainEqual({ key: `toast:${row!.id}` })
    expect(computed).toEqual([])
  })

  it('T4: returns the option `placeholder` if it is set', async () => {
    const eaten = hasToast(db, 'oat', 'eaten', { compute: () => ({ oats: 1 }), placeholder: { oats: 0 } })
    const reading = await eaten(await createOat())
    expect(reading).toEqual({ oats: 0 })
    expect(reading.oats).toBe(0)
  })

  it('T5, T17: returns the old value, marked as stale, while it is refreshed', async () => {
    const { breakfast } = breakfasts()
    const oat = await createOat()
    await breakfast.fresh(oat)
    const changed = await change(oat)

    expect(await breakfast.isStale(oat)).toBe(false)
    expect(await breakfast.isStale(changed)).toBe(true)
    expect(await breakfast(changed)).toMatchObject({ oat: 'Steel cut', toastr: { stale: true } })
    await refreshNow(db, breakfast, changed)
    expect(await breakfast(changed)).toMatchObject({ oat: 'Rolled', toastr: { stale: false } })
  })

  it('T7: returns `elapsed` in seconds and the time when the computation began', async () => {
    const slow = hasToast(db, 'oat', 'slow', {
      compute: async () => {
        await new Promise((resolve) => setTimeout(resolve, 600))
        return { oat: 'meal' }
      },
    })
    const { oat, toastr } = await slow.fresh(await createOat())
    const after = Date.now()
    expect(oat).toBe('meal')
    expect(toastr.elapsed).toBeGreaterThan(0.59)
    expect(toastr.elapsed).toBeLessThan(20)
    expect(toastr.cached_at).toBeInstanceOf(Date)
    expect(toastr.cached_at.getTime() + 1000 * toastr.elapsed).toBeLessThan(after + 10)
  })

  it('T7: returns a result that is not an object under `value`', async () => {
    const list = hasToast(db, 'oat', 'list', { compute: () => [1n, 2n] })
    const { value } = await list.fresh(await createOat())
    expect(value).toEqual([1n, 2n])
    const priced = hasToast(db, 'oat', 'priced', { compute: () => new Prisma.Decimal('2.50') })
    const { value: price } = await priced.fresh(await createOat())
    expect(price.toFixed(2)).toBe('2.50')
  })

  it.each([undefined, null, false, 0, ''])('C9: the value %s is stored and computed once', async (value) => {
    let computations = 0
    const none = hasToast(db, 'oat', `none_${++toasts}`, {
      compute: () => {
        computations++
        return value
      },
    })
    const oat = await createOat()
    await none(oat)
    await refreshNow(db, none, oat)
    for (const reading of [await none(oat), await none.fresh(oat), await none(oat, { wait: '1s' })]) {
      expect(reading).toMatchObject({ value, toastr: { stale: false } })
    }
    expect(computations).toBe(1)
  })

  it('T9: is stale and refreshed again if its parent changes during the computation', async () => {
    let oat = await createOat()
    const breakfast = hasToast(db, 'oat', 'slow_breakfast', {
      compute: async (loaded) => {
        if (loaded.name === 'Steel cut') oat = await change(loaded)
        return { oat: loaded.name }
      },
    })
    expect(await breakfast.fresh(oat)).toMatchObject({ oat: 'Steel cut' })
    expect(await breakfast(oat)).toMatchObject({ oat: 'Steel cut', toastr: { stale: true } })
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toMatchObject({ oat: 'Rolled', toastr: { stale: false } })
  })

  it('T9: a read with a newer parent during a computation causes one more refresh', async () => {
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', 'watched', {
      compute: async (loaded) => {
        if (loaded.name === 'Steel cut') await breakfast(await change(loaded))
        return { oat: loaded.name }
      },
    })
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    expect((await rowOf(breakfast))!.refreshAt).not.toBeNull()
    await refreshNow(db, breakfast, oat)
    expect(await rowOf(breakfast)).toMatchObject({ refreshAt: null, value: { oat: 'Rolled' } })
  })

  it('T10: many concurrent calls of `fresh` cause one computation', async () => {
    const { breakfast, computed } = breakfasts()
    const oat = await createOat()
    const readings = await Promise.all(Array.from({ length: 50 }, () => breakfast.fresh(oat)))
    expect(new Set(readings.map(({ servings }) => servings))).toEqual(new Set([1]))
    await breakfast.fresh(oat)
    expect(computed).toHaveLength(1)
    await breakfast.fresh(await change(oat))
    expect(await jobs(), 'no worker is bothered').not.toContainEqual({ key: `toast:${(await rowOf(breakfast))!.id}` })
  })

  it('T11: with `wait`, the first read returns the value if it is computed in time', async () => {
    const { breakfast } = breakfasts()
    const oat = await createOat()
    const reading = breakfast(oat, { wait: '5s' })
    await new Promise((resolve) => setTimeout(resolve, 50))
    await refreshNow(db, breakfast, oat)
    expect(await reading).toMatchObject({ oat: 'Steel cut' })
  })

  it('T11: with `wait`, a read returns the placeholder after the timeout', async () => {
    const { breakfast } = breakfasts()
    const before = performance.now()
    expect(await breakfast(await createOat(), { wait: '120ms' })).toEqual(PLACEHOLDER)
    expect(performance.now() - before).toBeGreaterThan(110)
    expect(performance.now() - before).toBeLessThan(2000)
  })

  it('`peek` requests no refresh', async () => {
    const { breakfast } = breakfasts()
    const oat = await createOat()
    expect(await breakfast.peek(oat)).toEqual(PLACEHOLDER)
    expect(await rowOf(breakfast)).toBeNull()
    await breakfast.fresh(oat)
    expect(await breakfast.peek(await change(oat))).toMatchObject({ oat: 'Steel cut', toastr: { stale: true } })
    expect(await rowOf(breakfast)).toMatchObject({ refreshAt: null })
  })

  it('`isReady` distinguishes a value from a placeholder', async () => {
    const { breakfast } = breakfasts()
    const oat = await createOat()
    const placeholder = await breakfast(oat)
    expect(isReady(placeholder)).toBe(false)
    await breakfast.fresh(oat)
    const reading = await breakfast(oat)
    expect(isReady(reading) && reading.servings).toBe(1)
    // The compiler knows it too, of a placeholder of one's own as well.
    expect('toastr' in reading ? reading.servings : reading.error).toBe(1)
    const eaten = hasToast(db, 'oat', 'eaten_by', { compute: () => ({ names: ['Ann'] }), placeholder: { names: null } })
    const names = await eaten(oat)
    expect('toastr' in names ? names.names.length : names.names).toBeNull()
  })

  it('T9: a read with an older parent than the one being computed causes no other refresh', async () => {
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', 'held', { compute: (): unknown => breakfast(oat) })
    await breakfast(await change(oat))
    await refreshNow(db, breakfast, oat)
    expect(await rowOf(breakfast)).toMatchObject({ value: PLACEHOLDER, refreshAt: null })
  })

  it('T9: a read with the version that is being computed causes no other refresh', async () => {
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', 'asked_for', {
      load: async () => {
        const changed = await change(oat)
        await breakfast(changed)
        return changed
      },
      compute: (loaded): unknown => loaded.name,
    })
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    expect(await rowOf(breakfast)).toMatchObject({ value: 'Rolled', refreshAt: null })
  })

  it('`expire` makes a value stale at any age, and requests a refresh', async () => {
    const { breakfast } = breakfasts({ expireIn: '1 day' })
    const oat = await createOat()
    await breakfast.fresh(oat)
    await breakfast.expire(oat)
    expect(await breakfast(oat)).toMatchObject({ servings: 1, toastr: { stale: true } })
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toMatchObject({ servings: 2, toastr: { stale: false } })
  })

  it('`expire` during a computation causes one more computation', async () => {
    const oat = await createOat()
    let computations = 0
    const breakfast = hasToast(db, 'oat', 'expired_meanwhile', {
      compute: async (loaded) => {
        if (++computations === 1) await breakfast.expire(loaded)
        return { computations }
      },
    })
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    expect((await rowOf(breakfast))!.refreshAt).not.toBeNull()
    expect(await breakfast(oat)).toMatchObject({ computations: 1, toastr: { stale: true } })
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toMatchObject({ computations: 2, toastr: { stale: false } })
  })

  it('T9: a read after an invalidation during a computation causes one more computation', async () => {
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', 'invalidated_meanwhile', {
      expireIn: '1 day',
      compute: async (loaded) => {
        await prisma.$executeRaw`SELECT toasts_invalidate('oat', ARRAY[to_jsonb(${loaded.id}::int)::text])`
        await breakfast(loaded)
        return {}
      },
    })
    await breakfast(oat)
    await refreshNow(db, breakfast, oat)
    expect((await rowOf(breakfast))!.refreshAt).not.toBeNull()
    expect(await breakfast.isStale(oat)).toBe(true)
  })

  it('T5: an invalidation before a refresh began causes no other refresh while it runs', async () => {
    const oat = await createOat()
    let statements = 0
    const breakfast = hasToast(db, 'oat', 'invalidated_before', {
      expireIf: () => true,
      compute: async (loaded) => {
        statements = await countQueries(db, async () => void (await breakfast(loaded)))
      },
    })
    await breakfast.fresh(oat)
    await breakfast(oat)
    await prisma.$executeRaw`SELECT toasts_invalidate('oat', ARRAY[to_jsonb(${oat.id}::int)::text])`
    await refreshNow(db, breakfast, oat)
    expect(statements).toBe(1)
    expect(await rowOf(breakfast)).toMatchObject({ epoch: 1, valueEpoch: 1, refreshAt: null })
  })

  it('T5: a waiting refresh is not requested again, because it will see all changes', async () => {
    const { breakfast } = breakfasts()
    const oat = await createOat()
    await breakfast.fresh(oat)
    await breakfast(await change(oat))
    const changed = await change(oat)
    await prisma.$executeRaw`SELECT toasts_invalidate('oat', ARRAY[to_jsonb(${oat.id}::int)::text])`
    expect(await countQueries(db, async () => void (await breakfast(changed)))).toBe(1)
    await refreshNow(db, breakfast, changed)
    expect(await breakfast(changed)).toMatchObject({ toastr: { stale: false } })
  })

  it('T10: a late request for a toast that was refreshed meanwhile is ignored', async () => {
    const { breakfast } = breakfasts()
    const oat = await createOat()
    const { store } = toastsOf(db)
    const request = { name: breakfast.toastName, key: breakfast.keyOf(oat), task: 'refresh_toast', version: null }
    await breakfast.fresh(oat)
    const seen = await store.read(request)
    await breakfast.expire(oat)
    await refreshNow(db, breakfast, oat)
    await store.request(request, seen!.run)
    const { id: worker } = await presenceOf(db)
    expect(await store.claimNow(request, worker, seen), 'nor does it compute by itself').toBeUndefined()
    expect(await rowOf(breakfast)).toMatchObject({ refreshAt: null, run: seen!.run + 1 })
  })

  it('C13: a caller that waits for another process gets the error of its computation', async () => {
    const oat = await createOat()
    const breakfast = hasToast(db, 'oat', 'failing_elsewhere', {
      compute: async () => {
        await new Promise((resolve) => setTimeout(resolve, 300))
        throw new TypeError('no oats')
      },
    })
    await breakfast(oat)
    // Claimed as the worker does: `fresh` finds it taken.
    const elsewhere = refreshNow(db, breakfast, oat)
    await vi.waitFor(async () => expect((await rowOf(breakfast))!.lockedBy).not.toBeNull())
    await expect(breakfast.fresh(oat)).rejects.toThrow(
      expect.objectContaining({ code: 'REFRESH_FAILED', failure: expect.objectContaining({ name: 'TypeError' }) }),
    )
    await elsewhere
    expect((await rowOf(breakfast))!.failures).toBe(1)
  })

  it('C13: a caller waits for another process that lives, however long it computes', async () => {
    const oat = await createOat()
    let computations = 0
    const breakfast = hasToast(db, 'oat', 'slow_elsewhere', {
      compute: async () => {
        const computation = ++computations
        await new Promise((resolve) => setTimeout(resolve, 1500))
        return { computation }
      },
    })
    await breakfast(oat)
    const elsewhere = refreshNow(db, breakfast, oat)
    await vi.waitFor(async () => expect((await rowOf(breakfast))!.lockedBy).not.toBeNull())
    expect(await breakfast.fresh(oat)).toMatchObject({ computation: 1 })
    await elsewhere
    expect(computations).toBe(1)
  })

  it('a stale value older than `maxStale` counts as missing', async () => {
    const { breakfast } = breakfasts({ maxStale: '1 hour' })
    const oat = await createOat()
    await breakfast.fresh(oat)
    const changed = await change(oat)
    expect(await breakfast(changed)).toMatchObject({ servings: 1, toastr: { stale: true } })
    await setRow(breakfast, { cachedAt: new Date(Date.now() - 3_700_000) })
    expect(await breakfast(oat)).toMatchObject({ servings: 1, toastr: { stale: false } })
    expect(await breakfast(changed)).toEqual(PLACEHOLDER)
    expect(await breakfast.fresh(changed)).toMatchObject({ servings: 2 })

    // What has just been computed is served, however short that is.
    const impatient = breakfasts({ expireIf: () => true, maxStale: 0 }).breakfast
    expect(await impatient.fresh(oat)).toMatchObject({ servings: 1, toastr: { stale: true } })
  })

  it('C5: another `version` of the code does not return values of the old code', async () => {
    const oat = await createOat()
    const first = hasToast(db, 'oat', 'versioned', { compute: () => ({ oats: 1 }), version: 1 })
    await first.fresh(oat)
    const second = hasToast(db, 'oat', 'versioned', { compute: () => ({ grams: 40 }), version: 2 })
    expect(await second(oat)).toEqual(PLACEHOLDER)
    expect(await second.fresh(oat)).toMatchObject({ grams: 40 })
    expect(await first(oat)).toMatchObject({ oats: 1 })
  })

  it('rejects a value larger than `maxBytes`', async () => {
    const huge = hasToast(db, 'oat', 'huge', { compute: () => 'x'.repeat(2000), maxBytes: 1000 })
    await expect(huge.fresh(await createOat())).rejects.toThrow('result of oat.huge: value takes 2002 bytes of JSON')
  })

  it('loads its parent with `load`, with relations', async () => {
    const toppings = hasToast(db, 'oat', 'toppings', {
      load: (id) => prisma.oat.findUnique({ where: { id }, include: { toppings: true } }),
      compute: (oat) => ({ oat: oat.name, toppings: oat.toppings.map(({ name }) => name) }),
    })
    const oat = await createOat()
    await prisma.topping.create({ data: { name: 'Blueberries', oatId: oat.id } })
    expect(await toppings.fresh(oat)).toMatchObject({ oat: 'Steel cut', toppings: ['Blueberries'] })
  })

  it('keeps the types of its value', async () => {
    const value = { at: new Date(5), big: 1n, map: new Map([[1, new Set(['a'])]]), gone: undefined }
    const typed = hasToast(db, 'oat', 'typed', { compute: () => value })
    const oat = await createOat()
    const { toastr: _, ...inline } = await typed.fresh(oat)
    expect(inline).toStrictEqual(value)
    const { toastr: __, ...fromDatabase } = await typed.fresh(oat)
    expect(fromDatabase).toStrictEqual(value)
  })
})

describe('T6, T18: staleness', () => {
  const policies = [
    {
      name: 'by default, when the parent has changed',
      options: {},
      age: async (oat: Oat) => change(oat),
    },
    {
      name: 'with expireIn, when it is older than that',
      options: { expireIn: '1 day' as const },
      age: async (oat: Oat, toast: { toastName: string }) => {
        await setRow(toast, { cachedAt: new Date(Date.now() - DAY - 1000) })
        return oat
      },
    },
    {
      name: 'with expireIf, when that says so',
      options: { expireIf: ({ cachedAt }: { cachedAt: Date }, oat: Oat) => oat.name === 'Rolled' && +cachedAt < 5 },
      age: async (oat: Oat, toast: { toastName: string }) => {
        await setRow(toast, { cachedAt: new Date(1) })
        return await change(oat)
      },
    },
  ]

  describe.each(policies)('$name', ({ options, age }) => {
    afterEach(() => computeInline(db, false))

    it('the placeholder comes first', async () => {
      const { breakfast } = breakfasts(options)
      expect(await breakfast(await createOat())).toEqual(PLACEHOLDER)
    })

    it('T11: the first read returns the value with `computeInline`', async () => {
      computeInline(db)
      const { breakfast } = breakfasts(options)
      expect(await breakfast(await createOat())).toMatchObject({ servings: 1, toastr: { stale: false } })
    })

    it('it stays as it is while it is fresh', async () => {
      computeInline(db)
      const { breakfast, computed } = breakfasts(options)
      const oat = await createOat()
      await breakfast(oat)
      expect(await breakfast(oat)).toMatchObject({ servings: 1, toastr: { stale: false } })
      expect(computed).toHaveLength(1)
    })

    it('it is refreshed when it is stale', async () => {
      const { breakfast } = breakfasts(options)
      const oat = await createOat()
      await breakfast.fresh(oat)
      const aged = await age(oat, breakfast)
      expect(await breakfast(aged)).toMatchObject({ servings: 1, toastr: { stale: true } })
      await refreshNow(db, breakfast, aged)
      expect(await breakfast(aged)).toMatchObject({ servings: 2 })
    })
  })

  it('T6: only the first of these that is set is used: `expireIn`, `expireIf`', async () => {
    const oat = await createOat()
    const both = breakfasts({ expireIn: '1 day', expireIf: () => true }).breakfast
    await both.fresh(oat)
    expect(await both.isStale(await change(oat))).toBe(false)
    const never = breakfasts({ expireIf: () => false }).breakfast
    await never.fresh(oat)
    expect(await never.isStale(await change(oat))).toBe(false)
  })

  it('T6: a parent without updatedAt needs `expireIn` or `expireIf`, and the error says so', async () => {
    const spicy = hasToast(db, 'spice', 'heat', { id: 'slug', compute: () => ({ heat: 3 }) })
    const spice = await prisma.spice.create({ data: { slug: 'chili' } })
    await expect(spicy(spice)).rejects.toThrow('Add `updatedAt DateTime @updatedAt` to the model')
  })
})

describe('batches', () => {
  it('T12: reads in one tick, of any toasts, are one query', async () => {
    const oats = await Promise.all([createOat(), createOat(), createOat()])
    const [first, second] = [breakfasts().breakfast, breakfasts().breakfast]
    for (const oat of oats) await Promise.all([first.fresh(oat), second.fresh(oat)])

    const statements = await countQueries(db, async () => {
      const readings = await Promise.all(oats.flatMap((oat) => [first(oat), second(oat)]))
      expect(readings.every(isReady)).toBe(true)
    })
    expect(statements).toBe(1)
  })

  it('T12: `many` of 1,000 parents takes one read and one statement that requests refreshes', async () => {
    const { breakfast } = breakfasts()
    await prisma.oat.createMany({ data: Array.from({ length: 1000 }, (_, i) => ({ name: `Oat ${i}` })) })
    const oats = await prisma.oat.findMany({ where: { name: { startsWith: 'Oat ' } }, orderBy: { id: 'asc' } })

    const statements = await countQueries(db, async () => {
      expect(await breakfast.many(oats)).toEqual(oats.map(() => PLACEHOLDER))
    })
    expect(statements).toBe(2)
    expect(await prisma.toast.count({ where: { name: breakfast.toastName, refreshAt: { not: null } } })).toBe(1000)
    const queued = await prisma.$queryRaw`
      SELECT count(*)::int AS jobs FROM graphile_worker.jobs AS job JOIN toasts ON job.key = 'toast:' || toasts.id
      WHERE toasts.name = ${breakfast.toastName}`
    expect(queued).toEqual([{ jobs: 1000 }])

    await setRow(breakfast, {
      value: { oat: 'old' },
      elapsed: 1,
      cachedAt: new Date(1),
      valueEpoch: 0,
      refreshAt: null,
    })
    const stale = await countQueries(db, async () => {
      const readings = await breakfast.many(oats)
      expect(readings.filter((reading) => isReady(reading) && reading.toastr.stale)).toHaveLength(1000)
    })
    expect(stale).toBe(2)

    const wanted = await countQueries(db, async () => {
      await breakfast.many(oats)
    })
    expect(wanted).toBe(1)
  })

  it('the same parent twice in one batch is requested once', async () => {
    const { breakfast } = breakfasts()
    const oat = await createOat()
    expect(await breakfast.many([oat, oat])).toEqual([PLACEHOLDER, PLACEHOLDER])
    expect(await prisma.toast.count({ where: { name: breakfast.toastName } })).toBe(1)
  })
})

describe('keys', () => {
  it('a composite key', async () => {
    const shelf = await prisma.shelf.create({ data: { aisle: 7, level: 'top, "left" \\ \n\u0001 ü [' } })
    const other = await prisma.shelf.create({ data: { aisle: 7, level: '8' } })
    const stock = hasToast(db, 'shelf', 'stock', {
      id: ['aisle', 'level'],
      compute: ({ aisle, level }) => ({ aisle, level }),
    })
    expect(await stock.fresh(shelf)).toMatchObject({ aisle: 7, level: shelf.level })
    expect(await stock.fresh(other)).toMatchObject({ aisle: 7, level: '8' })
    const rows = await prisma.$queryRaw`
      SELECT "level" FROM "Shelf" JOIN "toasts" ON key = jsonb_build_array("aisle", "level")::text ORDER BY "level"`
    expect(rows).toEqual([{ level: '8' }, { level: shelf.level }])
  })

  it('a composite key, whose fields `load` receives', async () => {
    const shelf = await prisma.shelf.create({ data: { aisle: 8, level: 'top' } })
    const loaded = hasToast(db, 'shelf', 'loaded', {
      id: ['aisle', 'level'],
      load: ({ aisle, level }) => prisma.shelf.findUnique({ where: { aisle_level: { aisle, level } } }),
      compute: ({ level }) => ({ level }),
    })
    expect(await loaded.fresh(shelf)).toMatchObject({ level: 'top' })
  })

  it.each([3n, 2n ** 62n])('a bigint: %s', async (id) => {
    const sack = await prisma.sack.create({ data: { id } })
    const weight = hasToast(db, 'sack', 'weight', {
      load: (id) => prisma.sack.findUnique({ where: { id } }),
      compute: ({ id }) => ({ id }),
    })
    expect(await weight.fresh(sack)).toMatchObject({ id })
    expect(
      await prisma.$queryRaw`SELECT "Sack".id FROM "Sack" JOIN toasts ON key = to_jsonb("Sack".id)::text`,
    ).toContainEqual({
      id,
    })
  })

  it('several types in one composite key, and a type that is rejected', () => {
    const parent = { tenant: 2n ** 60n, main: true, day: new Date(0), slug: 'a, "b"' }
    const toast = hasToast(db, 'shelf', 'mixed', { id: Object.keys(parent) as never, compute: () => 1 })
    const key = toast.keyOf(parent as never)
    expect(key).toBe('[1152921504606846976, true, "1970-01-01T00:00:00.000Z", "a, \\"b\\""]')
    expect(valuesOf(key, Object.keys(parent))).toEqual({ ...parent, day: '1970-01-01T00:00:00.000Z' })
    const priced = hasToast(db, 'jar', 'priced', { id: 'price', compute: () => 1 })
    expect(() => priced.keyOf({ price: new Prisma.Decimal(1) } as never)).toThrow(
      expect.objectContaining({
        code: 'INVALID_KEY',
        message: expect.stringMatching(
          /jar\.priced cannot use price as its key, because it is of type \w+\. A key may have/,
        ),
      }),
    )
  })

  it('a uuid, and a string field that is not called id', async () => {
    const jar = await prisma.jar.create({ data: { price: '2.50' } })
    const label = hasToast(db, 'jar', 'label', { compute: ({ id, price }) => ({ id, price }) })
    const { id, price } = await label.fresh(jar)
    expect({ id, price }).toStrictEqual({ id: jar.id, price: jar.price })
    const spice = await prisma.spice.create({ data: { slug: 'salt' } })
    const taste = hasToast(db, 'spice', 'taste', { id: 'slug', expireIn: '1 day', compute: ({ slug }) => ({ slug }) })
    expect(await taste.fresh(spice)).toMatchObject({ slug: 'salt' })
    expect(await prisma.$queryRaw`SELECT slug FROM "Spice" JOIN "toasts" ON key = to_jsonb(slug)::text`).toContainEqual(
      {
        slug: 'salt',
      },
    )
  })
})
