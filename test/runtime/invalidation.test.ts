import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasToast } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { stage } from '../../generators/changes/stage.js'
import { invalidation } from '../../generators/definitions/invalidation.js'
import { modelsOf } from '../../generators/host/prisma-models.js'
import { packagedTemplate } from '../../generators/pipeline/templates.js'
import { db } from '../.app/src/async/database.js'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { APP } from '../support/host.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()

const path = join(APP, 'prisma', 'schema.prisma')
const models = modelsOf({ files: [{ path, text: readFileSync(path, 'utf8') }], major: 7 })
for (const each of stage(invalidation(models, ['Oat', 'Shelf', 'Topping.oat'], 'install'), packagedTemplate)) {
  if (each.kind === 'migration') await query(url, each.text)
}

// None of them looks at updatedAt: what makes them stale is the trigger.
const breakfast = hasToast(db, 'oat', 'breakfast', {
  expireIn: '1 year',
  load: (id) => prisma.oat.findUnique({ where: { id }, include: { toppings: true } }),
  compute: ({ toppings }) => ({ toppings: toppings.map(({ name }) => name).sort() }),
})
const lunch = hasToast(db, 'oat', 'lunch', { expireIn: '1 year', compute: () => 1 })
const stock = hasToast(db, 'shelf', 'stock', { id: ['aisle', 'level'], expireIn: '1 year', compute: () => 1 })

beforeEach(() => prisma.toast.deleteMany())

afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

async function createOat(toppings: string[] = []) {
  const oat = await prisma.oat.create({
    data: { name: 'Oat', toppings: { create: toppings.map((name) => ({ name })) } },
  })
  await breakfast.fresh(oat)
  return oat
}

describe('T13: with triggers, toasts become stale when their data changes', () => {
  it('through plain Prisma', async () => {
    const [oat, other] = [await createOat(), await createOat()]
    await prisma.oat.update({ where: { id: oat.id }, data: { name: 'Rolled' } })
    expect(await breakfast.isStale(oat)).toBe(true)
    expect(await breakfast.isStale(other)).toBe(false)
  })

  it('through raw SQL', async () => {
    const oat = await createOat()
    await prisma.$executeRaw`UPDATE "Oat" SET name = 'Raw'`
    expect(await breakfast.isStale(oat)).toBe(true)
  })

  it('all toasts of the record, and the next read requests a refresh', async () => {
    const oat = await createOat()
    await lunch.fresh(oat)
    await prisma.$executeRaw`UPDATE "Oat" SET name = 'Raw'`
    expect(await prisma.toast.findMany()).toMatchObject([{ refreshAt: null }, { refreshAt: null }])
    expect(await lunch(oat)).toMatchObject({ value: 1, toastr: { stale: true } })
    await refreshNow(db, lunch, oat)
    expect(await lunch(oat)).toMatchObject({ value: 1, toastr: { stale: false } })
    expect(await breakfast.isStale(oat)).toBe(true)
  })

  it('through a nested write to its children', async () => {
    const oat = await createOat()
    await prisma.oat.update({ where: { id: oat.id }, data: { toppings: { create: { name: 'Nuts' } } } })
    expect(await breakfast.fresh(oat)).toMatchObject({ toppings: ['Nuts'] })
  })

  it('when children are inserted, changed, moved or deleted, many in one statement', async () => {
    const [from, to] = [await createOat(['Nuts', 'Honey']), await createOat()]
    const stale = async () => [await breakfast.isStale(from), await breakfast.isStale(to)]
    const refresh = () => Promise.all([breakfast.fresh(from), breakfast.fresh(to)])

    await prisma.topping.createMany({
      data: [
        { name: 'Figs', oatId: to.id },
        { name: 'Dates', oatId: to.id },
      ],
    })
    expect(await stale()).toEqual([false, true])
    await refresh()
    await prisma.topping.updateMany({ where: { oatId: from.id, name: 'Nuts' }, data: { name: 'Almonds' } })
    expect(await stale()).toEqual([true, false])
    await refresh()
    await prisma.topping.updateMany({ where: { oatId: from.id }, data: { oatId: to.id } })
    expect(await stale()).toEqual([true, true])
    expect((await refresh())[1].toppings).toEqual(['Almonds', 'Dates', 'Figs', 'Honey'])
    await prisma.topping.deleteMany({ where: { name: 'Figs' } })
    expect(await stale()).toEqual([false, true])
  })

  it('with a composite key', async () => {
    const shelf = await prisma.shelf.create({ data: { aisle: 3, level: 'top, "x"' } })
    await stock.fresh(shelf)
    await prisma.$executeRaw`UPDATE "Shelf" SET "updatedAt" = now()`
    expect(await stock.isStale(shelf)).toBe(true)
    await prisma.shelf.deleteMany()
    expect(await prisma.toast.count()).toBe(0)
  })

  it('and are deleted with their parent at once', async () => {
    const [gone, kept] = [await createOat(['Nuts']), await createOat()]
    await prisma.oat.delete({ where: { id: gone.id } })
    expect(await prisma.toast.findMany()).toMatchObject([{ key: String(kept.id) }])
  })

  it('but toasts of another model with the same key do not change', async () => {
    const oat = await createOat(['Nuts'])
    const sack = await prisma.sack.create({ data: { id: oat.id } })
    const weight = hasToast(db, 'sack', 'weight', { expireIn: '1 year', compute: () => 1 })
    await weight.fresh(sack)
    await prisma.topping.updateMany({ where: { oatId: oat.id }, data: { name: 'Almonds' } })
    expect([await breakfast.isStale(oat), await weight.isStale(sack)]).toEqual([true, false])
    await prisma.oat.delete({ where: { id: oat.id } })
    expect(await prisma.toast.findMany()).toMatchObject([{ name: 'sack.weight' }])
  })

  it('and stay fresh if the change is rolled back', async () => {
    const oat = await createOat()
    const change = prisma.$transaction(async (tx) => {
      await tx.oat.update({ where: { id: oat.id }, data: { name: 'Rolled' } })
      throw new Error('no')
    })
    await expect(change).rejects.toThrow('no')
    expect(await breakfast.isStale(oat)).toBe(false)
  })
})

describe('T9: a change that commits during a computation makes the value stale', () => {
  it('if the row already exists', async () => {
    const oat = await createOat()
    let change = async () => {}
    const slow = hasToast(db, 'oat', 'slow', {
      expireIn: '1 year',
      compute: async () => {
        await change()
        return 1
      },
    })
    await slow.fresh(oat)
    change = async () => void (await prisma.$executeRaw`UPDATE "Oat" SET name = 'Raw'`)
    await slow.expire(oat)
    await refreshNow(db, slow, oat)
    expect(await slow.isStale(oat)).toBe(true)
  })

  /** A change that has been made and not been committed. */
  async function openChange(oatId: number) {
    const [made, end] = [gate(), gate()]
    const change = prisma.$transaction(
      async (tx) => {
        await tx.topping.create({ data: { name: 'Nuts', oatId } })
        made.open()
        await end.opened
      },
      { timeout: 60_000 },
    )
    await Promise.race([made.opened, change])
    return async () => {
      end.open()
      await change
    }
  }
  /** What the worker does when the refresh is due. */
  const work = async (oat: Awaited<ReturnType<typeof createOat>>) => {
    await prisma.$executeRaw`UPDATE toasts SET refresh_at = now() WHERE refresh_at IS NOT NULL`
    await refreshNow(db, breakfast, oat)
  }

  it('if the change was made before the row existed, and commits after', async () => {
    const oat = await prisma.oat.create({ data: { name: 'Oat' } })
    const commit = await openChange(oat.id)
    // Its trigger has found no row to mark, and what it has written cannot be seen yet.
    expect(await breakfast.fresh(oat)).toMatchObject({ toppings: [] })
    await commit()
    expect(await breakfast(oat)).toMatchObject({ toppings: [], toastr: { stale: true } })
    await work(oat)
    expect(await breakfast(oat)).toMatchObject({ toppings: ['Nuts'], toastr: { stale: false } })
  })

  it('also after several computations before it commits, at growing intervals', async () => {
    const oat = await prisma.oat.create({ data: { name: 'Oat' } })
    const commit = await openChange(oat.id)
    const pause = async () => {
      const { refreshAt, updatedAt } = await prisma.toast.findFirstOrThrow()
      return refreshAt!.getTime() - updatedAt.getTime()
    }
    await breakfast.fresh(oat)
    expect(Math.abs((await pause()) - 1000)).toBeLessThan(200)
    await sleep(1000)
    await breakfast.fresh(oat)
    expect(await pause(), 'twice as long as it has been').toBeGreaterThan(1900)
    await work(oat)
    await commit()
    expect(await breakfast(oat)).toMatchObject({ toppings: [], toastr: { stale: true } })
    await work(oat)
    expect(await breakfast(oat)).toMatchObject({ toppings: ['Nuts'], toastr: { stale: false } })
  })

  it('but transactions that began later do not matter, so a busy table does not prevent fresh values', async () => {
    const [oat, other] = [
      await prisma.oat.create({ data: { name: 'Oat' } }),
      await prisma.oat.create({ data: { name: 'X' } }),
    ]
    const commit = await openChange(other.id)
    await breakfast.fresh(oat)
    const commitLater = await openChange(other.id)
    await commit()
    await work(oat)
    expect(await breakfast.isStale(oat)).toBe(false)
    await commitLater()
  })

  it('but changes of other models do not matter', async () => {
    const oat = await prisma.oat.create({ data: { name: 'Oat' } })
    const shelf = await prisma.shelf.create({ data: { aisle: 11, level: 'a' } })
    const commit = await openChange(oat.id)
    await stock.fresh(shelf)
    expect(await stock.isStale(shelf)).toBe(false)
    await commit()
    await prisma.$transaction(async (tx) => {
      await tx.topping.count()
      await breakfast.fresh(oat)
    })
    expect(await breakfast.isStale(oat), 'nor do transactions that only read').toBe(false)
  })

  it('if a stale value is computed while the change is not yet committed', async () => {
    const oat = await createOat()
    await breakfast.expire(oat)
    const commit = await openChange(oat.id)
    const refreshing = breakfast.fresh(oat)
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
    await eventually('the wait for the change', async () => (await query(url, waiting)).length > 0)
    await commit()
    expect(await refreshing).toMatchObject({ toppings: ['Nuts'], toastr: { stale: false } })
  })
})

describe('T13: a TRUNCATE', () => {
  it('of the children makes the toasts of all parents stale, and of no other model', async () => {
    const [oat, other] = [await createOat(['Nuts']), await createOat()]
    const shelf = await prisma.shelf.create({ data: { aisle: 9, level: 'a' } })
    await stock.fresh(shelf)
    await query(url, 'TRUNCATE "Topping"')
    expect([await breakfast.isStale(oat), await breakfast.isStale(other)]).toEqual([true, true])
    expect(await stock.isStale(shelf)).toBe(false)
    expect(await breakfast.fresh(oat)).toMatchObject({ toppings: [] })
  })

  it('of the parents deletes their toasts', async () => {
    await createOat()
    const shelf = await prisma.shelf.create({ data: { aisle: 10, level: 'a' } })
    await stock.fresh(shelf)
    await query(url, 'TRUNCATE "Oat" CASCADE')
    expect(await prisma.toast.findMany()).toMatchObject([{ name: 'shelf.stock' }])
  })
})

describe('T13: the triggers', () => {
  it('find the toasts with any search path of the session', async () => {
    const oat = await createOat(['Nuts'])
    await query(url, `SET search_path = pg_catalog; UPDATE public."Topping" SET name = 'Almonds'`)
    expect(await breakfast.isStale(oat)).toBe(true)
    await breakfast.fresh(oat)
    await query(url, `SET search_path = pg_catalog; SELECT public.toasts_invalidate('oat', ARRAY['${oat.id}'])`)
    expect(await breakfast.isStale(oat)).toBe(true)
    await query(url, 'SET search_path = pg_catalog; TRUNCATE public."Oat" CASCADE')
    expect(await prisma.toast.count()).toBe(0)
  })

  it('do not increment the epoch of stale toasts, so that it never overflows', async () => {
    const oat = await createOat()
    for (let i = 0; i < 5; i++) await prisma.topping.create({ data: { name: 'Nuts', oatId: oat.id } })
    expect(await prisma.toast.findFirstOrThrow()).toMatchObject({ valueEpoch: 0, epoch: 1 })
  })

  it('mark nothing if a statement changes no row', async () => {
    const oat = await createOat()
    await prisma.$executeRaw`UPDATE "Oat" SET name = 'None' WHERE false`
    await prisma.$executeRaw`DELETE FROM "Topping" WHERE false`
    expect(await breakfast.isStale(oat)).toBe(false)
  })
})
