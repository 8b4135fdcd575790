import { asyncCached, clearCached, hasWorkers } from '@async-gen/runtime'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { presenceOf } from '../../runtime/src/presence/presence.js'
import { strategy } from '../../runtime/src/toast/cached.js'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { db } from '../.app/src/async/database.js'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'
import { countQueries } from '../support/queries.js'

await testDatabase()

const warnings = vi.spyOn(console, 'warn').mockImplementation(() => {})
afterEach(() => warnings.mockClear())

afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

const WARNING = 'No workers running to handle AsyncCache jobs'

/** A cached function of its own that counts its computations. */
let functions = 0
function things(options = {}) {
  const computed: number[] = []
  const thing = asyncCached(
    db,
    `thing_${++functions}`,
    async (id: number) => {
      computed.push(id)
      return { id, render: computed.length }
    },
    options,
  )
  const rows = () => prisma.toast.findMany({ where: { name: thing.cachedName } })
  /** What the worker does with the entry's job. */
  const work = async () => {
    for (const { name, key } of await rows()) await refreshToast(db, { name, key })
  }
  return { thing, computed, rows, work }
}

/** Lets this process count as a worker that takes `refresh_toast`. */
async function withWorker(happen: () => Promise<void>) {
  const { id, announcePool } = await presenceOf(db)
  await announcePool('pool', ['refresh_toast'])
  await happen().finally(() => prisma.asyncWorker.update({ where: { id }, data: { poolId: null, tasks: [] } }))
}

describe('C1, C16: the strategy of `fetch`, case by case', () => {
  const yes = async () => true
  const no = async () => false
  const asked = async () => {
    throw new Error('Nobody has to know whether there are workers.')
  }
  it.each([
    ['nothing there', null, false, asked, 'compute'],
    ['nothing there, synchronous', null, true, asked, 'compute'],
    ['older, synchronous', { older: true }, true, asked, 'compute'],
    ['older, no worker alive', { older: true }, false, no, 'compute'],
    ['older', { older: true }, false, yes, 'enqueue'],
    ['current', { older: false }, false, asked, 'serve'],
    ['C2: current, synchronous', { older: false }, true, asked, 'serve'],
  ] as const)('%s', async (name, cached, synchronousRegen, hasWorkers, does) => {
    expect(await strategy({ cached, synchronousRegen, hasWorkers })).toBe(does)
    expect(warnings.mock.calls).toEqual(name === 'older, no worker alive' ? [[WARNING]] : [])
  })
})

describe('a cached function', () => {
  it('C16: rejects a missing name or function, and unknown options', async () => {
    // @ts-expect-error: the compiler refuses it too
    expect(() => asyncCached(db, 'thing')).toThrow('asyncCached needs a name and a function')
    expect(() => asyncCached(db, '', () => 1)).toThrow('asyncCached needs a name and a function')
    // @ts-expect-error
    expect(() => asyncCached(db, 'thing', () => 1, { expiresIn: 1 })).toThrow('no option "expiresIn"')
    const { thing } = things()
    // @ts-expect-error
    await expect(thing.fetch('a', 1, { arguments: [1], regen: true })).rejects.toThrow('no option "regen"')
    // @ts-expect-error: its arguments are required
    await expect(thing.fetch('a', 1)).resolves.toMatchObject({ id: undefined })
  })

  it('C1, C8: computes a missing value at once, and stores value and version', async () => {
    const { thing, computed, rows } = things()
    await presenceOf(db)
    const statements = await countQueries(db, async () => {
      expect(await thing.fetch('thing/7', 3, { arguments: [7] })).toEqual({ id: 7, render: 1 })
    })
    // Twice it is read before it is taken, once it is stored, once it is read.
    expect(statements).toBe(5)
    expect(await rows()).toMatchObject([{ version: '3', value: { id: 7, render: 1 }, refreshAt: null, lockedBy: null }])
    expect(computed).toEqual([7])
  })

  it('C1, C4: returns a current value with one query', async () => {
    const { thing, computed } = things()
    await thing.fetch('thing/7', 3, { arguments: [7] })
    const queries = await countQueries(db, async () => {
      expect(await thing.fetch('thing/7', 3, { arguments: [7] })).toEqual({ id: 7, render: 1 })
      expect(await thing.fetch('thing/7', 2, { arguments: [7] })).toEqual({ id: 7, render: 1 })
    })
    expect(queries).toBe(2)
    expect(computed).toEqual([7])
  })

  it('C1, C16: after a newer version, returns the old value, adds one job, then the new value', async () => {
    await withWorker(async () => {
      const { thing, rows, work } = things()
      expect(await thing.fetch('thing/7', 1, { arguments: [7] })).toEqual({ id: 7, render: 1 })
      expect(await thing.fetch('thing/7', 2, { arguments: [7] })).toEqual({ id: 7, render: 1 })
      expect(await thing.fetch('thing/7', 2, { arguments: [7] })).toEqual({ id: 7, render: 1 })

      const [row] = await rows()
      expect(row).toMatchObject({ args: [7], wantedVersion: '2', version: '1', task: 'refresh_toast' })
      expect(
        await prisma.$queryRaw`
        SELECT task_identifier FROM graphile_worker.jobs WHERE key = ${`toast:${row!.id}`}`,
      ).toHaveLength(1)

      await work()
      expect(await thing.fetch('thing/7', 2, { arguments: [7] })).toEqual({ id: 7, render: 2 })
      expect(warnings).not.toHaveBeenCalled()
    })
  })

  it('C1, C11: with no worker alive, computes an older value at once and warns', async () => {
    const { thing } = things()
    await thing.fetch('thing/7', 1, { arguments: [7] })
    expect(await hasWorkers(db)).toBe(false)
    expect(await thing.fetch('thing/7', 2, { arguments: [7] })).toEqual({ id: 7, render: 2 })
    expect(warnings.mock.calls).toEqual([[WARNING]])
  })

  it('C11: `hasWorkers` says whether a worker that processes its jobs is alive', async () => {
    await withWorker(async () => expect(await hasWorkers(db)).toBe(true))
    expect(await hasWorkers(db)).toBe(false)
  })

  it('C1, C2: with synchronousRegen, computes an older value at once and returns a current one', async () => {
    await withWorker(async () => {
      const { thing } = things()
      await thing.fetch('thing/7', 1, { arguments: [7] })
      const options = { arguments: [7] as [number], synchronousRegen: true }
      expect(await thing.fetch('thing/7', 2, options)).toEqual({ id: 7, render: 2 })
      expect(await thing.fetch('thing/7', 2, options)).toEqual({ id: 7, render: 2 })
    })
  })

  it.each<[string, number | bigint | Date, number | bigint | Date]>([
    ['a number', 9, 10],
    ['a bigint', 2n ** 64n, 2n ** 64n + 1n],
    ['a Date, to the millisecond', new Date(1000), new Date(1001)],
  ])('C3: accepts %s as version, and only a newer one causes a refresh', async (_, older, newer) => {
    const { thing } = things()
    const options = { arguments: [7] as [number], synchronousRegen: true }
    await thing.fetch('thing/7', newer, options)
    expect(await thing.fetch('thing/7', older, options)).toMatchObject({ render: 1 })
    const other = things().thing
    await other.fetch('thing/7', older, options)
    expect(await other.fetch('thing/7', newer, options)).toMatchObject({ render: 2 })
  })

  it.each<[string, number | bigint | Date, number | bigint | Date]>([
    ['numbers', 20_300, new Date(0)],
    ['bigints', 2n ** 60n, new Date()],
    ['Dates', new Date(9), 1],
    ['Dates, then bigints', new Date(9), 1n],
  ])('C3: treats a stored version of another type as older: %s', async (_, before, after) => {
    const { thing } = things()
    const options = { arguments: [7] as [number], synchronousRegen: true }
    await thing.fetch('thing/7', before, options)
    expect(await thing.fetch('thing/7', after, options)).toMatchObject({ render: 2 })
    expect(await thing.fetch('thing/7', after, options)).toMatchObject({ render: 2 })
  })

  it('C3: accepts a string version only with `compare`', async () => {
    const byNumber = (a: string, b: string) => Number(a.slice(1)) - Number(b.slice(1))
    const { thing } = things({ compare: byNumber })
    const options = { arguments: [7] as [number], synchronousRegen: true }
    await thing.fetch('thing/7', 'v9', options)
    expect(await thing.fetch('thing/7', 'v10', options)).toMatchObject({ render: 2 })
    expect(await thing.fetch('thing/7', 'v9', options)).toMatchObject({ render: 2 })
    const { thing: plain } = things()
    await expect(plain.fetch('thing/7', 'v9', options)).rejects.toThrow('give asyncCached the option `compare`')
    await expect(plain.fetch('thing/7', Number.NaN, options)).rejects.toThrow('NaN is not a valid version')
    await expect(plain.fetch('thing/7', new Date('?'), options)).rejects.toThrow('Invalid Date is not a valid version')
  })

  it('C5: has one entry for each list of arguments: 1 and "1" differ, the order of keys is ignored', async () => {
    const seen: unknown[] = []
    const name = `args_${++functions}`
    const cached = asyncCached(db, name, (arg: unknown) => seen.push(arg))
    for (const arg of [1, '1', { a: 1, b: 2 }, { b: 2, a: 1 }, [1], null])
      await cached.fetch('it', 1, { arguments: [arg] })
    expect(seen).toEqual([1, '1', { a: 1, b: 2 }, [1], null])
  })

  it('C5: equal arguments are one entry: with another prototype, in a Map, one object or two', async () => {
    const seen: unknown[] = []
    const cached = asyncCached(db, `args_${++functions}`, (...args: unknown[]) => seen.push(args))
    const [day, sameDay] = [new Date(5), new Date(5)]
    const bare = Object.assign(Object.create(null), { b: 2, a: 1 })
    const same: unknown[][][] = [
      [[{ a: 1, b: 2 }], [bare]],
      [[new Map([['x', { a: 1, b: 2 }]])], [new Map([['x', { b: 2, a: 1 }]])]],
      [[new Set([{ a: 1, b: 2 }])], [new Set([{ b: 2, a: 1 }])]],
      [
        [day, day],
        [day, sameDay],
      ],
    ]
    for (const args of same.flat()) await cached.fetch('it', 1, { arguments: args })
    expect(seen).toHaveLength(same.length)
    for (const args of [[0], [-0], [Number.NaN], [JSON.parse('{"__proto__": 1}')], [{}]])
      await cached.fetch('it', 1, { arguments: args })
    expect(seen).toHaveLength(same.length + 5)
  })

  it('C4: accepts a locator of any length', async () => {
    const cached = asyncCached(db, `long_${++functions}`, (name: string) => name)
    const random = Array.from({ length: 10_000 }, () => Math.random().toString(36)[2]).join('')
    const locators = [random, `${random}2`, 'a\0b', '\ud800', '\ud801', '']
    for (const locator of locators) await cached.fetch(locator, 1, { arguments: [locator.slice(-1)] })
    for (const locator of locators) await cached.fetch(locator, 1, { arguments: [locator.slice(-1)] })
    expect(await prisma.toast.findMany({ where: { name: cached.cachedName } })).toHaveLength(locators.length)
  })

  it('C5: another code version is another entry', async () => {
    const name = `versioned_${++functions}`
    const old = asyncCached(db, name, () => 'old')
    await old.fetch('it', 1)
    expect(await asyncCached(db, name, () => 'new', { version: 2 }).fetch('it', 1)).toBe('new')
  })

  it('C6: arguments keep their types in the worker; the error for others has their number', async () => {
    const seen: unknown[] = []
    const cached = asyncCached(db, `types_${++functions}`, (at: Date, set: Set<bigint>) => void seen.push(at, set))
    await withWorker(async () => {
      const args: [Date, Set<bigint>] = [new Date(7), new Set([1n])]
      await cached.fetch('it', 1, { arguments: args })
      await cached.fetch('it', 2, { arguments: args })
      const row = await prisma.toast.findFirstOrThrow({ where: { name: cached.cachedName } })
      await refreshToast(db, row)
      expect(seen).toEqual([...args, ...args])
    })
    const any = asyncCached(db, `any_${++functions}`, (..._: unknown[]) => 1)
    await expect(any.fetch('it', 1, { arguments: [1, () => 2] })).rejects.toThrow('argument 2 is a function')
    await expect(any.fetch('it', 1, { arguments: [Symbol('x')] })).rejects.toThrow('argument 1 is a symbol')
    await expect(any.fetch('it', 1, { arguments: [new (class Oat {})()] })).rejects.toThrow(
      'argument 1 is an instance of Oat',
    )
  })

  it('C7: an entry older than expiresIn counts as missing, and is pruned', async () => {
    const { thing, rows } = things()
    const options = { arguments: [7] as [number], expiresIn: '1 hour' as const }
    await thing.fetch('thing/7', 1, options)
    const [row] = await rows()
    const left = row!.expiresAt!.getTime() - Date.now()
    expect(left).toBeGreaterThan(3_500_000)
    expect(left).toBeLessThan(3_601_000)

    await prisma.toast.update({ where: { id: row!.id }, data: { expiresAt: new Date(Date.now() - 1) } })
    expect(await thing.fetch('thing/7', 1, options)).toEqual({ id: 7, render: 2 })
    expect(await thing.fetch('thing/7', 1, options)).toEqual({ id: 7, render: 2 })
  })

  it('C7: an expired entry is not returned while a worker refreshes it', async () => {
    const { thing, rows } = things()
    const options = { arguments: [7] as [number], expiresIn: '1 hour' as const }
    await thing.fetch('thing/7', 1, options)
    const [row] = await rows()
    await prisma.toast.update({ where: { id: row!.id }, data: { expiresAt: new Date(Date.now() - 1) } })
    await withWorker(async () => {
      expect(await thing.fetch('thing/7', 2, options)).toEqual({ id: 7, render: 2 })
    })
  })

  it('C8: a job does nothing if the entry is already new enough', async () => {
    await withWorker(async () => {
      const { thing, computed, work } = things()
      await thing.fetch('thing/7', 1, { arguments: [7] })
      await thing.fetch('thing/7', 2, { arguments: [7] })
      await thing.fetch('thing/7', 2, { arguments: [7], synchronousRegen: true })
      await work()
      expect(computed).toHaveLength(2)
    })
  })

  it('C8: a newer version during a computation is not lost, and no older value comes back', async () => {
    await withWorker(async () => {
      const { thing, rows, work } = things()
      const fetch = (version: number) => thing.fetch('thing/7', version, { arguments: [7] })
      await fetch(1)
      await fetch(3)
      await fetch(2)
      expect(await rows()).toMatchObject([{ wantedVersion: '3' }])
      await fetch(4)
      await work()
      expect(await rows()).toMatchObject([{ version: '4', refreshAt: null }])
    })
  })

  it.each([null, false, undefined, 0, ''])('C9: stores %s like any other value', async (value) => {
    let computed = 0
    const cached = asyncCached(db, `empty_${++functions}`, () => {
      computed++
      return value
    })
    expect(await cached.fetch('it', 1)).toBe(value)
    expect(await cached.fetch('it', 1)).toBe(value)
    expect(computed).toBe(1)
  })

  it('C12: `clear` deletes its entries and refreshes of all code versions, and no others', async () => {
    await withWorker(async () => {
      const { thing, rows, computed, work } = things()
      const { thing: other, rows: otherRows } = things()
      await thing.fetch('a', 1, { arguments: [1] })
      await thing.fetch('a', 2, { arguments: [1] })
      await asyncCached(db, thing.cachedName, () => 1, { version: 2 }).fetch('a', 1)
      await other.fetch('a', 1, { arguments: [1] })
      const longer = asyncCached(db, `${thing.cachedName}.json`, () => 1)
      await longer.fetch('a', 1)
      const { name, key } = (await rows())[0]!
      expect(await thing.clear()).toBe(2)
      expect(await rows()).toEqual([])
      expect(await otherRows()).toHaveLength(1)
      expect(await prisma.toast.count({ where: { name: longer.cachedName } })).toBe(1)
      expect(await refreshToast(db, { name, key })).toBe('nothing to do')
      await work()
      expect(computed).toEqual([1])
    })
  })

  it('C12: `clearCached` deletes the entries of all functions, and no toasts', async () => {
    const { thing, rows } = things()
    await thing.fetch('a', 1, { arguments: [1] })
    await prisma.toast.create({ data: { name: 'oat.kept', key: '1' } })
    expect(await clearCached(db)).toBeGreaterThan(0)
    expect(await rows()).toEqual([])
    expect(await prisma.toast.count({ where: { name: 'oat.kept' } })).toBe(1)
  })

  it('C13: an error of a computation at once is thrown to the caller, and no value is stored', async () => {
    let fails = true
    const cached = asyncCached(db, `failing_${++functions}`, () => {
      if (fails) throw new TypeError('no oats')
      return 'oats'
    })
    await expect(cached.fetch('it', 1)).rejects.toThrow(TypeError)
    const row = await prisma.toast.findFirstOrThrow({ where: { name: cached.cachedName } })
    expect(row).toMatchObject({ value: null, cachedAt: null, refreshAt: null, lockedBy: null })
    fails = false
    expect(await cached.fetch('it', 1)).toBe('oats')

    // An older value stays, for as long as it was to.
    fails = true
    await expect(cached.fetch('it', 2, { synchronousRegen: true })).rejects.toThrow(TypeError)
    expect(await prisma.toast.findFirst({ where: { name: cached.cachedName } })).toMatchObject({ expiresAt: null })
    expect(await cached.fetch('it', 1)).toBe('oats')

    // It is not tried again, so the next caller requests it.
    await withWorker(async () => {
      expect(await cached.fetch('it', 2)).toBe('oats')
      const { refreshAt } = await prisma.toast.findFirstOrThrow({ where: { name: cached.cachedName } })
      expect(refreshAt).not.toBeNull()
    })
  })

  it('C13: an error in a job is recorded, the old value stays, and the job is tried again', async () => {
    let fails = false
    const cached = asyncCached(db, `failing_${++functions}`, () => {
      if (fails) throw new TypeError('no oats')
      return 'oats'
    })
    const row = () => prisma.toast.findFirstOrThrow({ where: { name: cached.cachedName } })
    await withWorker(async () => {
      await cached.fetch('it', 1)
      fails = true
      await cached.fetch('it', 2)
      expect(await refreshToast(db, await row())).toBe('failed')
      expect(await cached.fetch('it', 2)).toBe('oats')
      const { error, failures, refreshAt } = await row()
      expect(error).toMatchObject({ name: 'TypeError', message: 'no oats' })
      expect(failures).toBe(1)
      expect(refreshAt!.getTime()).toBeGreaterThan(Date.now())
      // Nor do newer and newer versions hurry it.
      await cached.fetch('it', 3)
      expect(await row()).toMatchObject({ wantedVersion: '3', refreshAt })
    })
  })

  it('C14: many concurrent callers of a missing entry share one computation, and its error', async () => {
    let computed = 0
    const slow = asyncCached(db, `slow_${++functions}`, async (fails: boolean) => {
      computed++
      await new Promise((resolve) => setTimeout(resolve, 50))
      if (fails) throw new Error('no oats')
      return computed
    })
    const all = (fails: boolean) =>
      Promise.allSettled(Array.from({ length: 40 }, () => slow.fetch('it', 1, { arguments: [fails] })))
    expect(new Set((await all(false)).map((outcome) => outcome.status === 'fulfilled' && outcome.value))).toEqual(
      new Set([1]),
    )
    expect((await all(true)).every(({ status }) => status === 'rejected')).toBe(true)
    expect(computed).toBe(2)
  })

  it('C15: a row with an unknown name runs no code: it fails, and the error lists the known names', async () => {
    await prisma.toast.create({ data: { name: 'process.exit', key: 'x', args: [], refreshAt: new Date(0) } })
    expect(await refreshToast(db, { name: 'process.exit', key: 'x' })).toBe('failed')
    const row = await prisma.toast.findFirstOrThrow({ where: { name: 'process.exit' } })
    expect((row.error as { message: string }).message).toMatch(/has no toast named "process.exit".*Defined: thing_1/)
  })

  it('rejects a value larger than `maxBytes`', async () => {
    const huge = asyncCached(db, `huge_${++functions}`, async () => 'x'.repeat(2000), { maxBytes: 1000 })
    await expect(huge.fetch('it', 1, { arguments: [] })).rejects.toThrow('value takes 2002 bytes of JSON')
  })

  it('`compute` calls the function itself', async () => {
    const { thing, rows } = things()
    expect(await thing.compute(3)).toEqual({ id: 3, render: 1 })
    expect(await rows()).toEqual([])
  })
})
