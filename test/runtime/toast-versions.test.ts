import { connect, hasToast } from '@async-gen/runtime'
import { afterAll, describe, expect, it } from 'vitest'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { versionOf } from '../../runtime/src/toast/staleness.js'
import { testDatabase } from '../support/database.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')
const db = connect(prisma, { connectionString: url })
afterAll(() => db.close())

let names = 0

/** What a worker does for a job: nothing, unless a refresh is due. */
const refresh = <Oat>(toast: { toastName: string; keyOf(oat: Oat): string }, oat: Oat) =>
  refreshToast(db, { name: toast.toastName, key: toast.keyOf(oat) })

/** A toast whose value tells how often it was computed. */
async function toastOfOat() {
  const counted = { computations: 0, fails: false }
  const toast = hasToast(db, 'oat', `version${names++}`, {
    compute: ({ name }) => {
      if (counted.fails) throw new Error('burnt')
      return { name, nth: ++counted.computations }
    },
  })
  const oat = await prisma.oat.create({ data: { name: 'steel-cut' } })
  await toast(oat)
  await refresh(toast, oat)
  const setClock = (minutes: number) => new Date(oat.updatedAt.getTime() + minutes * 60_000)
  const change = (name: string, minutes: number) =>
    prisma.oat.update({ where: { id: oat.id }, data: { name, updatedAt: setClock(minutes) } })
  return { toast, oat, change, counted }
}

type ToastOfOat = Awaited<ReturnType<typeof toastOfOat>>

/** A read, and what a worker does thereafter. */
async function readAndRefresh({ toast }: ToastOfOat, oat: ToastOfOat['oat']) {
  const reading = await toast(oat)
  await refresh(toast, oat)
  return reading
}

describe('T6: a value counts as stale when its parent has another version', () => {
  it.each([
    ['a later one', 60],
    ['an earlier one, because a clock was set back', -60],
    ['one that is a millisecond earlier', -1 / 60_000],
  ])('%s', async (_, minutes) => {
    const each = await toastOfOat()
    const changed = await each.change('rolled', minutes)
    expect(await each.toast.isStale(changed)).toBe(true)
    expect(await readAndRefresh(each, changed)).toMatchObject({ name: 'steel-cut', toastr: { stale: true } })
    expect(await each.toast(changed)).toMatchObject({ name: 'rolled', nth: 2, toastr: { stale: false } })
  })

  it('than none, which it had when the value was computed, before its model had updatedAt', async () => {
    const { toast, oat } = await toastOfOat()
    await prisma.toast.updateMany({ where: { name: toast.toastName }, data: { version: null } })
    expect(await toast.isStale(oat)).toBe(true)
  })

  it('an earlier one, also after a refresh that failed', async () => {
    const each = await toastOfOat()
    const changed = await each.change('rolled', -60)
    each.counted.fails = true
    await readAndRefresh(each, changed)
    expect(await each.toast(changed)).toMatchObject({ name: 'steel-cut', toastr: { stale: true } })
  })

  it('`fresh` then computes it again', async () => {
    const each = await toastOfOat()
    const changed = await each.change('rolled', -60)
    expect(await each.toast.fresh(changed)).toMatchObject({ name: 'rolled', nth: 2, toastr: { stale: false } })
    expect(await each.toast.fresh(changed)).toMatchObject({ nth: 2 })
  })
})

describe('a reader with an old copy of the parent', () => {
  it('causes at most one more computation, and then gets the value as fresh', async () => {
    const each = await toastOfOat()
    const changed = await each.change('rolled', 1)
    await readAndRefresh(each, changed)
    for (let i = 0; i < 5; i++) {
      await readAndRefresh(each, each.oat)
      await readAndRefresh(each, changed)
    }
    expect(each.counted.computations).toBe(3)
    expect(await each.toast(each.oat)).toMatchObject({ name: 'rolled', toastr: { stale: false } })
  })

  it('does not repeat the computation for ever if others have other copies', async () => {
    const each = await toastOfOat()
    const copies = [each.oat]
    for (let minutes = 1; minutes <= 3; minutes++) copies.push(await each.change(`change ${minutes}`, minutes))
    for (let i = 0; i < 10; i++) for (const copy of copies) await readAndRefresh(each, copy)
    const { computations } = each.counted
    expect(computations).toBeLessThanOrEqual(1 + copies.length)
    for (let i = 0; i < 10; i++) for (const copy of copies) await readAndRefresh(each, copy)
    expect(each.counted.computations).toBe(computations)
  })

  it('does not repeat the computation for ever if it reads during a computation', async () => {
    const each = await toastOfOat()
    const changed = await each.change('rolled', 1)
    await each.toast(changed)
    for (let i = 0; i < 10; i++) {
      const refreshing = refresh(each.toast, changed)
      await Promise.all([each.toast(each.oat), each.toast(changed), each.toast.many([changed, each.oat])])
      await refreshing
    }
    expect(each.counted.computations).toBeLessThanOrEqual(3)
  })

  it('does not hide a change whose time is older because a clock was set back', async () => {
    const each = await toastOfOat()
    const ahead = await each.change('ahead', 60)
    await readAndRefresh(each, ahead)
    await readAndRefresh(each, each.oat)
    await readAndRefresh(each, each.oat)
    const back = await each.change('back', 30)
    await readAndRefresh(each, back)
    expect(await each.toast(back)).toMatchObject({ name: 'back', toastr: { stale: false } })
  })
})

describe('T5: the version of a record of Prisma 8', () => {
  /** As Node.js 26 has it. */
  const temporal = (name: string, text: string) => ({ [Symbol.toStringTag]: `Temporal.${name}`, toString: () => text })

  it.each([
    ['text in UTC', '2026-11-26 21:33:23.562+00'],
    ['text in another zone, with microseconds', '2026-11-27 03:03:23.562789+05:30'],
    ['text without a zone', '2026-11-26 21:33:23.562'],
    ['a Date', new Date('2026-11-26T21:33:23.562Z')],
    ['a Temporal.Instant', temporal('Instant', '2026-11-26T21:33:23.562789Z')],
    ['a Temporal.PlainDateTime', temporal('PlainDateTime', '2026-11-26T21:33:23.562')],
  ])('is the time of its updatedAt, from %s', (_, updatedAt) => {
    expect(versionOf({ updatedAt })).toBe('2026-11-26T21:33:23.562Z')
  })

  it.each([['now'], [''], [7], [{}], [null]])('is null for %j, which is no time', (updatedAt) => {
    expect(versionOf({ updatedAt })).toBeNull()
  })
})
