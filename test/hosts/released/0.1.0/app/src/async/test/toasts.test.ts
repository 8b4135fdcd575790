import { defineToast, isReady } from '@async-gen/runtime'
import { refreshNow, requireNoWorker } from '@async-gen/runtime/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { prisma } from '../../db.js'
import { db } from '../database.js'

describe('a toast', () => {
  const parent = { id: 1, updatedAt: new Date('2020-01-01') }
  let computations = 0
  const toast = defineToast(db, 'spec.toast', {
    load: async () => parent,
    compute: async () => ({ computations: ++computations }),
  })

  const remove = () => prisma.toast.deleteMany({ where: { name: toast.toastName } })
  beforeAll(() => requireNoWorker(db))
  beforeEach(async () => {
    computations = 0
    await remove()
  })
  afterAll(async () => {
    await remove()
    await db.close()
  })

  it('is a placeholder at first, and asks for its value', async () => {
    expect(await toast(parent)).toEqual({ error: 'Data not yet available' })

    const row = await prisma.toast.findFirstOrThrow({ where: { name: toast.toastName } })
    expect(row.refreshAt).not.toBeNull()
  })

  it('returns its value once the worker has computed it', async () => {
    await toast(parent)
    await refreshNow(db, toast, parent)

    const reading = await toast(parent)
    expect(isReady(reading) && reading.computations).toBe(1)
  })

  it('returns the old value while a stale one is refreshed', async () => {
    await toast(parent)
    await refreshNow(db, toast, parent)
    const changed = { ...parent, updatedAt: new Date() }

    const reading = await toast(changed)
    expect(reading).toMatchObject({ computations: 1, toastr: { stale: true } })
  })
})
