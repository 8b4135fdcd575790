import { channels } from '../telemetry/instrument.js'
import { BUCKETS } from '../telemetry/opentelemetry.js'
import type { Operation, OperationEvent, OperationOutcome } from '../telemetry/operation.js'

/** What a worker does: all that is told of but the recording of attempts. */
export type Work = Exclude<Operation, 'create'>

const WORK: Work[] = ['run', 'refresh', 'build', 'job']

/** How often, and for how long, one kind of work ended in one way. */
export interface Count {
  operation: Work
  outcome: OperationOutcome
  count: number
  /** Seconds, all together. */
  sum: number
  /** How many took at most as long as the bucket's bound. */
  buckets: number[]
}

/** Calls `listener` at the end of whatever this process runs, refreshes or builds. Returns what stops it. */
export function onWorkDone(listener: (operation: Work, event: OperationEvent) => void): () => void {
  const subscriptions = WORK.map((operation) => {
    const { asyncEnd } = channels[operation]
    const done = (message: unknown) => listener(operation, message as OperationEvent)
    asyncEnd.subscribe(done)
    return () => asyncEnd.unsubscribe(done)
  })
  return () => {
    for (const unsubscribe of subscriptions) unsubscribe()
  }
}

/** Counts what this process has done since it began. */
export class Counters {
  readonly #counts = new Map<string, Count>()

  add(operation: Work, { outcome = 'succeeded', elapsed = 0 }: OperationEvent): void {
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

  get counts(): Count[] {
    return [...this.#counts.values()]
  }

  /** How often anything ended in that way. */
  total(outcome: OperationOutcome): number {
    return this.counts.filter((entry) => entry.outcome === outcome).reduce((sum, { count }) => sum + count, 0)
  }
}
