import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { secondsSince } from '../core/duration.js'
import { describeError } from '../core/errors.js'
import { inSpan } from './opentelemetry.js'
import type { Operation, OperationEvent } from './operation.js'

export const channels: Record<Operation, TracingChannel<OperationEvent>> = {
  create: tracingChannel('async-gen:create'),
  run: tracingChannel('async-gen:run'),
  refresh: tracingChannel('async-gen:refresh'),
  build: tracingChannel('async-gen:build'),
  job: tracingChannel('async-gen:job'),
}

/** How an operation ended, as its event says it. */
export type OperationEnd = Pick<OperationEvent, 'outcome' | 'error'>

/**
 * Runs an operation and emits its events: to the subscribers of its channel, and to OpenTelemetry if the host uses it.
 * @param describe says how the operation ended. Default: it succeeded, unless it threw
 */
export async function instrument<Result>(
  operation: Operation,
  event: OperationEvent,
  run: () => Promise<Result>,
  describe?: (result: Result) => OperationEnd,
): Promise<Result> {
  const { start, asyncEnd, error } = channels[operation]
  const measured = () => inSpan(operation, event, () => timed(event, run, describe))
  const hasSubscribers = start.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers
  return await (hasSubscribers ? traced(channels[operation], event, measured) : measured())
}

/** Like `tracePromise`, but without the returned value, which may be large or secret. */
function traced<Result>(channel: TracingChannel<OperationEvent>, event: OperationEvent, run: () => Promise<Result>) {
  return channel.start.runStores(event, async () => {
    try {
      return await run()
    } catch (error) {
      channel.error.publish(event)
      throw error
    } finally {
      channel.asyncEnd.publish(event)
    }
  })
}

const selfInstrumented = new WeakSet<object>()

/** Marks a task that emits events of its own, so that the worker does not also emit one for its job. */
export function instrumentsItself<Task extends object>(task: Task): Task {
  selfInstrumented.add(task)
  return task
}

export function doesInstrumentItself(task: object): boolean {
  return selfInstrumented.has(task)
}

async function timed<Result>(
  event: OperationEvent,
  run: () => Promise<Result>,
  describe: (result: Result) => OperationEnd = () => ({ outcome: 'succeeded' }),
): Promise<Result> {
  const started = performance.now()
  try {
    const result = await run()
    Object.assign(event, describe(result))
    return result
  } catch (error) {
    event.outcome ??= 'failed'
    event.error = describeError(error)
    throw error
  } finally {
    event.elapsed = secondsSince(started)
  }
}
