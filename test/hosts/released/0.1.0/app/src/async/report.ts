import { BaseReport } from '@async-gen/runtime'
import { db } from './database.js'

/** A report built by the worker: one table for all, one class each in reports/. */
export class Report<Args extends object = object> extends BaseReport(db, {
  model: 'Report',
  table: 'reports',
})<Args> {}
