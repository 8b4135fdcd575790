import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { secondsSince } from './duration.js'
import { describeError, type ErrorRecord } from './errors.js'
import { inSpan } from './opentelemetry.js'

/** A trace context as OpenTelemetry's propagators write it: by default `{ traceparent }`. */
export type TraceContext = Record<string, string>

/** What the runtime does: records an attempt, makes its call, refreshes a toast, builds a report, runs a job of the host's own. */
export type Deed = 'create' | 'run' | 'refresh' | 'build' | 'job'

/**
 * What became of it. `retried` failed and is tried again later, `failed` failed for good, `overtaken` was taken away meanwhile (cancelled,
 * or finished by somebody else) and changed nothing.
 */
export type Outcome = 'succeeded' | 'retried' | 'failed' | 'overtaken'

/**
 * What a diagnostics channel tells of a deed: `tracing:async-gen:run:start` and the like, as `tracingChannel('async-gen:run')`
 * of `node:diagnostics_channel` names them. The last three are there at the end.
 */
export interface Telling {
  /** What it was done to: the class of an attempt or report, `Toast`, or the name of a task. */
  type: string
  /** The attempt's id, the toast's key or the job's id, where it has one already. */
  id?: string | undefined
  /** What was called or computed: `OrderClient.fulfill`, `oat.breakfast`. */
  name: string
  /** How many calls were recorded at once. */
  calls?: number
  /** Which run it is, from 1. */
  run?: number
  /** The trace that asked for it, as `traceContext` wrote it down. */
  askedBy?: TraceContext | null
  outcome?: Outcome
  error?: ErrorRecord
  /** Seconds. */
  elapsed?: number
}

export const channels: Record<Deed, TracingChannel<Telling>> = {
  create: tracingChannel('async-gen:create'),
  run: tracingChannel('async-gen:run'),
  refresh: tracingChannel('async-gen:refresh'),
  build: tracingChannel('async-gen:build'),
  job: tracingChannel('async-gen:job'),
}

/** Does something, and tells who listens: subscribers of its channel and OpenTelemetry, where the host uses it. */
export async function tell<Result>(deed: Deed, telling: Telling, act: () => Promise<Result>): Promise<Result> {
  const { start, asyncEnd, error } = channels[deed]
  const acted = () => inSpan(deed, telling, () => timed(telling, act))
  const listened = start.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers
  return await (listened ? traced(channels[deed], telling, acted) : acted())
}

/** What `tracePromise` does, but that it does not hand out what was returned: that may be large, or nobody's business. */
function traced<Result>(channel: TracingChannel<Telling>, telling: Telling, act: () => Promise<Result>) {
  return channel.start.runStores(telling, async () => {
    try {
      return await act()
    } catch (error) {
      channel.error.publish(telling)
      throw error
    } finally {
      channel.asyncEnd.publish(telling)
    }
  })
}

const tellers = new WeakSet<object>()

/** Marks a task that tells what it does, so that the worker does not tell of its job as well. */
export function tellsItself<Task extends object>(task: Task): Task {
  tellers.add(task)
  return task
}

export function doesTellItself(task: object): boolean {
  return tellers.has(task)
}

async function timed<Result>(telling: Telling, act: () => Promise<Result>): Promise<Result> {
  const started = performance.now()
  try {
    const result = await act()
    telling.outcome ??= 'succeeded'
    return result
  } catch (error) {
    telling.outcome ??= 'failed'
    telling.error = describeError(error)
    throw error
  } finally {
    telling.elapsed = secondsSince(started)
  }
}
