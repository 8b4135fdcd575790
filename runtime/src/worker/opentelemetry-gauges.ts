import type { BatchObservableCallback } from '@opentelemetry/api'
import type { Database } from '../core/database.js'
import { otel, SCOPE } from '../telemetry/opentelemetry.js'
import { stateOf } from './queue-statistics.js'

/**
 * Offers OpenTelemetry the state of the tables, as `/metrics` shows it. It is read when an SDK collects, and never without one.
 *
 * @returns what ends it
 */
export function offerState(db: Database): () => void {
  if (!otel) return () => {}
  const meter = otel.metrics.getMeter(SCOPE)
  const workers = meter.createObservableGauge('async_gen.workers', {
    description: 'Workers that are alive',
    unit: '{worker}',
  })
  const rows = meter.createObservableGauge('async_gen.rows', {
    description: 'Attempts that are due, running or failed; toasts whose refresh is due, running or failing',
    unit: '{row}',
  })
  const oldestDue = meter.createObservableGauge('async_gen.oldest_due', {
    description: 'For how long the oldest row has been due',
    unit: 's',
  })
  const observe: BatchObservableCallback = async (result) => {
    const state = await stateOf(db)
    result.observe(workers, state.workers)
    for (const each of state.tables) {
      const table = { 'async_gen.table': each.table }
      for (const name of ['due', 'running', 'failed'] as const) {
        result.observe(rows, each[name], { ...table, 'async_gen.state': name })
      }
      result.observe(oldestDue, each.oldestDue, table)
    }
  }
  const offered = [workers, rows, oldestDue]
  meter.addBatchObservableCallback(observe, offered)
  return () => meter.removeBatchObservableCallback(observe, offered)
}
