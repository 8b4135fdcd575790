/**
 * Your cached methods. A read returns at once with what is there; the worker computes what is missing or stale.
 *
 *     import { hasToast } from '@async-gen/runtime'
 *     import { db } from './database.js'
 *
 *     export const totals = hasToast(db, 'customer', 'totals', {
 *       compute: async (customer) => ({ spent: await addUp(customer.id) }),
 *     })
 *
 *     const reading = await totals(customer)   // { spent, toastr } or, the first time, { error: 'Data not yet available' }
 *
 * Without `expireIn` or `expireIf` a value is stale when the record's `updatedAt` is newer. Toasts of other modules are
 * known to the worker once they are exported from here: `export * from '../customers/toasts.js'`.
 */
import { asyncCached, hasToast } from '@async-gen/runtime'
import { prisma } from '../db.js'
import { held } from '../ledger.js'
import { db } from './database.js'

export const breakfast = hasToast(db, 'oat', 'breakfast', {
  compute: async (oat) => {
    const toppings = await prisma.topping.findMany({ where: { oatId: oat.id }, orderBy: { id: 'asc' } })
    return { oat: oat.name, toppings: toppings.map((topping) => topping.name) }
  },
})

export const lunch = hasToast(db, 'oat', 'lunch', {
  compute: async (oat) => {
    if (process.env.KITCHEN === 'closed') throw new Error('The kitchen is closed')
    return { oat: oat.name }
  },
})

export const supper = hasToast(db, 'oat', 'supper', {
  compute: async (oat) => {
    await held(`${oat.name} supper`, 0)
    return { oat: oat.name }
  },
})

export const menu = asyncCached(db, 'menu', async (label: string) => ({ label, dishes: new Map([[1, 'Porridge']]) }))
