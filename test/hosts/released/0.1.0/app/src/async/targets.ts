import { defineTargets } from '@async-gen/runtime'
import { Ledger } from '../ledger.js'

/** All that an attempt may call: classes with static methods, objects of functions. What is not listed can never run. */
export const targets = defineTargets(() => ({
  Ledger,
}))
