import { hasToast, isReady, toastMethods } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { db } from '../.app/src/async/database.js'
import { prisma as base } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'

await testDatabase()

afterAll(async () => {
  await db.close()
  await base.$disconnect()
})

const breakfast = hasToast(db, 'oat', 'breakfast', { compute: (oat) => ({ oat: oat.name }) })
const heat = hasToast(db, 'spice', 'heat', {
  id: 'slug',
  expireIf: (_, spice) => spice.slug === 'chili',
  compute: () => 3,
})
const prisma = base.$extends(toastMethods({ oat: { breakfast }, spice: { heat } }))
const jobs = () => base.$queryRaw`SELECT key FROM graphile_worker.jobs`

describe('toasts as methods', () => {
  it('of a row have the types of the toast', async () => {
    const oat = await prisma.oat.create({ data: { name: 'Rolled' } })
    expect(await oat.breakfast()).toEqual({ error: 'Data not yet available' })
    await refreshNow(db, breakfast, oat)
    const reading = await oat.breakfast({ wait: '1s' })
    expect(isReady(reading) && reading.oat).toBe('Rolled')
  })

  it('of a row work with included relations, and for a model with another key', async () => {
    const oat = await prisma.oat.findFirstOrThrow({ include: { toppings: true } })
    expect(await oat.breakfast()).toMatchObject({ oat: 'Rolled' })
    const spice = await prisma.spice.create({ data: { slug: 'chili' } })
    await heat.fresh(spice)
    expect(await spice.heat()).toMatchObject({ value: 3, toastr: { stale: true } })
  })

  it('of a model work outside of a transaction', async () => {
    const oat = await prisma.oat.create({ data: { name: 'Instant' } })
    expect(await prisma.oat.breakfast(oat)).toEqual({ error: 'Data not yet available' })
    await refreshNow(db, breakfast, oat)
    const reading = await prisma.oat.breakfast(oat)
    expect(isReady(reading) && reading.oat).toBe('Instant')
  })

  it('of a model request a refresh in a transaction only if it commits', async () => {
    await base.$executeRaw`DELETE FROM graphile_worker._private_jobs`
    const rolledBack = prisma.$transaction(async (tx) => {
      const oat = await tx.oat.create({ data: { name: 'Never' } })
      expect(await tx.oat.breakfast(oat)).toEqual({ error: 'Data not yet available' })
      throw new Error('no')
    })
    await expect(rolledBack).rejects.toThrow('no')
    expect(await jobs()).toEqual([])
    await prisma.$transaction(async (tx) => {
      await tx.oat.breakfast(await tx.oat.create({ data: { name: 'Kept' } }))
      expect(await jobs()).toEqual([])
    })
    expect(await jobs()).toHaveLength(1)
  })
})
