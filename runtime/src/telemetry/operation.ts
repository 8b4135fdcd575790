import type { ErrorRecord } from '../core/errors.js'

/** A trace context as OpenTelemetry's propagators write it: by default `{ traceparent }`. */
export type TraceContext = Record<string, string>

/** An operation of the runtime: `create` records attempts, `run` runs a call, `refresh` a toast, `build` a report, `job` a task of the host's. */
export type Operation = 'create' | 'run' | 'refresh' | 'build' | 'job'

/**
 * How an operation ended. `snoozed`: the call asked to run again later. `retried`: it failed and is tried again later. `failed`: it failed for good. `superseded`: another worker or a
 * `cancel` ended the run in the meantime, so this operation changed nothing.
 */
export type OperationOutcome = 'succeeded' | 'snoozed' | 'retried' | 'failed' | 'superseded'

/**
 * The message on the diagnostics channels of an operation: `tracing:async-gen:run:start` and its siblings, which are
 * `tracingChannel('async-gen:run')` of `node:diagnostics_channel`. `outcome`, `error` and `elapsed` are set when the operation has ended.
 */
export interface OperationEvent {
  /** The class of the attempt or report, `Toast`, or `Job`. */
  type: string
  /** The id of the attempt, the key of the toast or the id of the job; undefined if the row has none yet. */
  id?: string | undefined
  /** The target and method, or the toast: `OrderClient.fulfill`, `oat.breakfast`. */
  name: string
  /** How many calls one `create` recorded. */
  calls?: number
  /** The number of the run, from 1. */
  run?: number
  /** The trace context of the code that enqueued the work. */
  enqueuedBy?: TraceContext | null
  outcome?: OperationOutcome
  error?: ErrorRecord
  /** Seconds. */
  elapsed?: number
}
