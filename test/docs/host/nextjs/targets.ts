// Takes the place of the generated src/async/targets.ts.
import { defineTargets } from '@async-gen/runtime'
import { OrderClient } from '../lib/order-client'

export const targets = defineTargets(() => ({ OrderClient }))
