import type { BatchObservableCallback } from '@opentelemetry/api'
import type { Database } from '../core/database.js'
import { openTelemetry, SCOPE } from '../telemetry/opentelemetry.js'
import { queueStatistics } from './queue-statistics.js'

/**
 * Registers OpenTelemetry gauges for the queue statistics, as in `/metrics`. They are read when an SDK collects, and never without one.
 *
 * @returns a function that removes them
 */
export function registerQueueGauges(db: Database): () => void {
  const otel = openTelemetry()
  if (!otel) return () => {}
  const meter = otel.metrics.getMeter(SCOPE)
  const workers = meter.createObservableGauge('async_gen.workers', {
    description: 'Workers that are alive',
    unit: '{worker}',
  })
  const rows = meter.createObservableGauge('async_gen.rows', {
    description:
      'Attempts that are due, due but paused or limited, blocked, running or failed; toasts whose refresh is due, running or failing',
    unit: '{row}',
  })
  const oldestDue = meter.createObservableGauge('async_gen.oldest_due', {
    description: 'How long the oldest due row has been due',
    unit: 's',
  })
  const paused = meter.createObservableGauge('async_gen.paused', {
    description: 'Pauses in force: what is paused, with * for all targets or methods',
    unit: '{pause}',
  })
  const limitCalls = meter.createObservableGauge('async_gen.limit_calls', {
    description: 'Calls of the keys of a limit that run, or are due and wait',
    unit: '{call}',
  })
  const observe: BatchObservableCallback = async (result) => {
    const statistics = await queueStatistics(db)
    result.observe(workers, statistics.workers)
    for (const each of statistics.tables) {
      const table = { 'async_gen.table': each.table }
      for (const name of ['due', 'paused', 'limited', 'blocked', 'running', 'failed'] as const) {
        const value = each[name]
        if (value !== undefined) result.observe(rows, value, { ...table, 'async_gen.state': name })
      }
      result.observe(oldestDue, each.oldestDue, table)
    }
    for (const { model, target, method } of statistics.pauses) {
      const attributes = { 'async_gen.model': model, 'async_gen.target': target, 'async_gen.method': method }
      result.observe(paused, 1, attributes)
    }
    for (const { model, limit, running, waiting } of statistics.limits) {
      const attributes = { 'async_gen.model': model, 'async_gen.limit': limit }
      result.observe(limitCalls, running, { ...attributes, 'async_gen.state': 'running' })
      result.observe(limitCalls, waiting, { ...attributes, 'async_gen.state': 'waiting' })
    }
  }
  const gauges = [workers, rows, oldestDue, paused, limitCalls]
  meter.addBatchObservableCallback(observe, gauges)
  return () => meter.removeBatchObservableCallback(observe, gauges)
}
