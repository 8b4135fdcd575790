import { hasToast } from '@async-gen/runtime'
import { db } from './database.js'
import { holdUntilReleased } from './effects.js'

export const breakfast = hasToast(db, 'oat', 'breakfast', {
  compute: async (oat) => {
    await holdUntilReleased('toast')
    return { oat: oat.name }
  },
})
