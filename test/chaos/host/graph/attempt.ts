import { BaseAttempt } from '@async-gen/runtime'
import { db } from '../database.js'

export class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: () => import('./targets.js'),
}) {}
