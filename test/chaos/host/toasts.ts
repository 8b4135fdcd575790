import { setTimeout as sleep } from 'node:timers/promises'
import { asyncCached, hasToast } from '@async-gen/runtime'
import { db } from './database.js'
import { count, holdUntilReleased, note } from './effects.js'

export const breakfast = hasToast(db, 'oat', 'breakfast', {
  compute: async (oat) => {
    await holdUntilReleased('toast')
    return { oat: oat.name }
  },
})

export const slowBreakfast = hasToast(db, 'oat', 'slow_breakfast', {
  compute: async (oat) => {
    await note('breakfast computed')
    await sleep(200)
    return { oat: oat.name }
  },
})

export const thing = asyncCached(db, 'thing', async () => {
  await note('thing computed')
  await sleep(200)
  return { computations: await count('thing computed') }
})
