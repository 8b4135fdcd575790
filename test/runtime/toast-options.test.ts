import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { asyncCached, type CachedToast, hasToast, toastStates } from '@async-gen/runtime'
import { computeInline, refreshNow } from '@async-gen/runtime/testing'
import { afterAll, afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { testDatabase } from '../support/database.js'

await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { Report } = await import('../.app/src/async/report.js')
const { prisma } = await import('../.app/src/db.js')

beforeEach(async () => {
  await prisma.toast.deleteMany()
  await prisma.$executeRaw`DELETE FROM graphile_worker._private_jobs`
})
afterEach(() => computeInline(db, false))
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

describe('T6: expireIf', () => {
  it('may be async, in every way of reading', async () => {
    let computations = 0
    const breakfast = hasToast(db, 'oat', 'asking', {
      // The original's third example: stale where a child is newer than the value.
      expireIf: async ({ parent, cachedAt }) => {
        await sleep(1)
        return (await prisma.order.count({ where: { number: parent.id + 7000, placedAt: { gt: cachedAt } } })) > 0
      },
      compute: () => ({ computations: ++computations }),
    })
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    await breakfast.fresh(oat)

    expect(await breakfast(oat)).toMatchObject({ computations: 1, toastr: { stale: false } })
    expect(await breakfast.isStale(oat)).toBe(false)
    expect(await breakfast.fresh(oat)).toMatchObject({ computations: 1 })
    expect(await prisma.toast.count({ where: toastStates.queued })).toBe(0)

    await prisma.order.create({ data: { number: oat.id + 7000 } })
    expect(await breakfast.peek(oat)).toMatchObject({ computations: 1, toastr: { stale: true } })
    expect(await breakfast.isStale(oat)).toBe(true)
    expect(await breakfast(oat)).toMatchObject({ computations: 1, toastr: { stale: true } })
    expect(await prisma.toast.count({ where: toastStates.queued })).toBe(1)
    expect(await breakfast.many([oat])).toMatchObject([{ toastr: { stale: true } }])
    expect(await breakfast.fresh(oat)).toMatchObject({ computations: 2, toastr: { stale: false } })
  })

  it('receives the typed parent as `toast.parent` and as second argument', async () => {
    const seen: unknown[] = []
    const breakfast = hasToast(db, 'oat', 'typed', {
      expireIf: (toast, parent) => {
        expectTypeOf(parent).toEqualTypeOf(toast.parent)
        expectTypeOf(toast.parent.name).toEqualTypeOf<string>()
        seen.push(toast.parent, parent)
        return false
      },
      compute: () => 1,
    })
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    await breakfast.fresh(oat)
    await breakfast(oat)
    expect(new Set(seen)).toEqual(new Set([oat]))
    // @ts-expect-error: it is to see the whole record
    await breakfast.peek({ id: oat.id, updatedAt: oat.updatedAt })
  })

  it('of a report receives the report, and may be async', async () => {
    class Usage extends Report<{ month: string }> {
      static expireIf = async (toast: CachedToast<Usage>) => toast.parent.args.month === 'this month'
      override async build() {
        return { total: 1 }
      }
    }
    computeInline(db)
    const [current, past] = [await Usage.create({ month: 'this month' }), await Usage.create({ month: 'January' })]
    expect(await current.fresh()).toMatchObject({ total: 1 })
    await past.build()
    expect([await current.isStale(), await past.isStale()]).toEqual([true, false])
  })
})

describe('a row that was read with select', () => {
  const breakfast = hasToast(db, 'oat', 'selected', { compute: (oat) => ({ name: oat.name }) })
  const heat = hasToast(db, 'spice', 'selected', { id: 'slug', expireIn: '1 day', compute: () => 3 })

  it('is enough if it has key and version', async () => {
    const { id } = await prisma.oat.create({ data: { name: 'Rolled' } })
    const oat = await prisma.oat.findUniqueOrThrow({ where: { id }, select: { id: true, updatedAt: true } })
    expect(await breakfast(oat)).toEqual({ error: 'Data not yet available' })
    await refreshNow(db, breakfast, oat)
    expect(await breakfast(oat)).toMatchObject({ name: 'Rolled', toastr: { stale: false } })
    expect(await heat.fresh({ slug: (await prisma.spice.create({ data: { slug: 'chili' } })).slug })).toMatchObject({
      value: 3,
    })
  })

  it('is rejected without them, also by the compiler', async () => {
    const { id, updatedAt } = await prisma.oat.create({ data: { name: 'Rolled' } })
    // @ts-expect-error: no version
    await expect(breakfast({ id })).rejects.toThrow(/no updatedAt.* `select`, select updatedAt/)
    // @ts-expect-error: no key
    await expect(breakfast({ updatedAt })).rejects.toThrow(
      /has no id. If you read the record with `select`, select the key/,
    )
  })
})

describe('T7: a result with its own key `toastr`', () => {
  it('is rejected when it is computed', async () => {
    const breakfast = hasToast(db, 'oat', 'clashing', { compute: () => ({ toastr: 'mine' }) })
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    const refused = {
      code: 'RESERVED_KEY',
      message: expect.stringContaining('The result of oat.clashing has a key "toastr"'),
    }
    await expect(breakfast.fresh(oat)).rejects.toMatchObject(refused)
    expect(await breakfast(oat)).toMatchObject({ cause: { code: 'RESERVED_KEY' } })
    expect(await breakfast.compute(oat)).toEqual({ toastr: 'mine' })
  })

  it('is allowed in a cached function, and deeper in a value', async () => {
    const thing = asyncCached(db, 'clashing', () => ({ toastr: 'mine' }))
    expect(await thing.fetch('it', 1)).toEqual({ toastr: 'mine' })
    const deep = hasToast(db, 'oat', 'deep', { compute: () => ({ each: { toastr: 'mine' } }) })
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    expect(await deep.fresh(oat)).toMatchObject({ each: { toastr: 'mine' } })
  })
})

describe('C12: a cached function', () => {
  const thing = asyncCached(db, 'clearing', (id: number) => ({ id }))
  const options = { arguments: [7] as [number] }

  it('`clearRefreshes` removes its own waiting refreshes and keeps its entries', async () => {
    const newer = asyncCached(db, 'clearing', (id: number) => ({ id }), { version: 2 })
    const other = asyncCached(db, 'clearing-not', (id: number) => ({ id }))
    for (const each of [thing, newer, other]) await each.fetch('thing/7', 1, options)
    await prisma.toast.updateMany({ data: { refreshAt: new Date() } })
    const names = ['clearing', 'clearing@2', 'clearing-not']
    for (const name of names)
      await prisma.$executeRaw`
        SELECT graphile_worker.add_job('refresh_toast', job_key => 'toast:' || id) FROM toasts WHERE name = ${name}`

    expect(await thing.clearRefreshes()).toBe(2)

    expect(await prisma.toast.findMany({ where: toastStates.queued, select: { name: true } })).toEqual([
      { name: 'clearing-not' },
    ])
    expect(await prisma.$queryRaw`SELECT count(*)::int FROM graphile_worker.jobs`).toEqual([{ count: 1 }])
    expect(await prisma.toast.count({ where: toastStates.cached })).toBe(3)
  })

  it('`clear` deletes its entries', async () => {
    await thing.fetch('thing/7', 1, options)
    expect(await thing.clear()).toBe(1)
    expect(await prisma.toast.count()).toBe(0)
  })
})

describe('toastStates', () => {
  it('filters toasts by the state of their value and of their refresh', async () => {
    let fails = true
    const breakfast = hasToast(db, 'oat', 'states', {
      compute: () => {
        if (fails) throw new Error('burnt')
        return 1
      },
    })
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    const states = async () => {
      const names = Object.keys(toastStates) as (keyof typeof toastStates)[]
      const counts = await Promise.all(names.map((name) => prisma.toast.count({ where: toastStates[name] })))
      return names.filter((_, i) => counts[i])
    }
    await breakfast(oat)
    expect(await states()).toEqual(['empty', 'queued'])
    await refreshNow(db, breakfast, oat)
    expect(await states()).toEqual(['empty', 'queued', 'failing'])
    fails = false
    await breakfast.expire(oat)
    await refreshToast(db, { name: breakfast.toastName, key: breakfast.keyOf(oat) })
    expect(await states()).toEqual(['cached'])
  })
})

describe('durations', () => {
  it('are checked when a toast is defined or read, and by the compiler', async () => {
    const breakfast = hasToast(db, 'oat', 'waiting', { compute: () => 1 })
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    await breakfast.fresh(oat)
    // @ts-expect-error: no duration
    await expect(breakfast(oat, { wait: 'soon' })).rejects.toThrow('wait: "soon" is not a duration')
    await breakfast(oat, { wait: '1.5 hours' })
    await breakfast(oat, { wait: '300ms' })
    await breakfast(oat, { wait: 5 })
    const thing = asyncCached(db, 'waiting', () => 1)
    // @ts-expect-error: no duration
    await expect(thing.fetch('it', 1, { expiresIn: '5 parsecs' })).rejects.toThrow('expiresIn of waiting: "5 parsecs"')
  })
})

describe('a report as JSON', () => {
  it('is its documented fields, with the id as text', async () => {
    class Json extends Report<{ month: string; limit: bigint }> {
      override async build() {
        return { total: 1 }
      }
    }
    const report = await Json.create({ month: 'January', limit: 2n ** 64n })
    const expected = {
      id: String(report.id),
      type: 'Json',
      args: { month: 'January', limit: String(2n ** 64n) },
      createdAt: report.createdAt.toJSON(),
      updatedAt: report.updatedAt.toJSON(),
    }
    expect(JSON.parse(JSON.stringify({ report }))).toEqual({ report: expected })
    expect(report.toJSON()).toEqual(expected)
    expect(inspect(report)).toMatch(/^Json \{/)
  })
})
