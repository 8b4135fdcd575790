// The toast of docs/toasts.md, for other pages.
import { hasToast } from '@async-gen/runtime'
import { db } from './database.js'

export const breakfast = hasToast(db, 'oat', 'breakfast', { compute: async () => ({ servings: 2 }) })
