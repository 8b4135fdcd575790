import { defineTargets } from '@async-gen/runtime'
import { Proof } from '../proof.js'

export const targets = defineTargets(() => ({ Proof }))
