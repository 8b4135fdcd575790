import { BaseReport } from '@async-gen/runtime'
import { db } from './database.js'

export class Report<Args extends object = object> extends BaseReport(db, {
  model: 'Report',
  table: 'reports',
})<Args> {}
