import { defineTargets } from '@async-gen/runtime'
import { OrderClient } from '../order-client.js'

export const targets = defineTargets(() => ({ OrderClient }))
