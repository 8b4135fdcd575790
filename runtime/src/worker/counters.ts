import { channels } from '../telemetry/instrument.js'
import { BUCKETS } from '../telemetry/opentelemetry.js'
import type { Operation, OperationEvent, OperationOutcome } from '../telemetry/operation.js'

/** The operations of a worker: all except the recording of attempts. */
export type WorkerOperation = Exclude<Operation, 'create'>

const WORKER_OPERATIONS: WorkerOperation[] = ['run', 'refresh', 'build', 'job']

/** The number and duration of operations of one kind with one outcome. */
export interface OutcomeCount {
  operation: WorkerOperation
  outcome: OperationOutcome
  count: number
  /** The sum of their durations, in seconds. */
  sum: number
  /** For each bound of BUCKETS, how many took at most that long. */
  buckets: number[]
}

/** Calls the listener at the end of each operation of this process. Returns a function that unsubscribes it. */
export function onOperationEnd(listener: (operation: WorkerOperation, event: OperationEvent) => void): () => void {
  const subscriptions = WORKER_OPERATIONS.map((operation) => {
    const { asyncEnd } = channels[operation]
    const done = (message: unknown) => listener(operation, message as OperationEvent)
    asyncEnd.subscribe(done)
    return () => asyncEnd.unsubscribe(done)
  })
  return () => {
    for (const unsubscribe of subscriptions) unsubscribe()
  }
}

/** Counts the operations of this process, by outcome. */
export class Counters {
  readonly #counts = new Map<string, OutcomeCount>()

  add(operation: WorkerOperation, { outcome = 'succeeded', elapsed = 0 }: OperationEvent): void {
    const key = `${operation} ${outcome}`
    let entry = this.#counts.get(key)
    if (!entry) {
      entry = { operation, outcome, count: 0, sum: 0, buckets: BUCKETS.map(() => 0) }
      this.#counts.set(key, entry)
    }
    entry.count += 1
    entry.sum += elapsed
    for (const [i, bound] of BUCKETS.entries()) if (elapsed <= bound) entry.buckets[i]! += 1
  }

  get counts(): OutcomeCount[] {
    return [...this.#counts.values()]
  }

  /** The number of operations with that outcome. */
  total(outcome: OperationOutcome): number {
    return this.counts.filter((entry) => entry.outcome === outcome).reduce((sum, { count }) => sum + count, 0)
  }
}
