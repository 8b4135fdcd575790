import { setTimeout as sleep } from 'node:timers/promises'
import type { Duration } from '../../core/duration.js'
import { AsyncGenError, WaitTimeoutError } from '../../core/errors.js'
import type { BoundClass, ClientOf, DataOf, TargetsOf } from '../binding.js'
import type { AnyCall, CallInput, RecordOptions, WithinTransaction } from '../calls.js'
import type { AttemptFields } from '../fields.js'
import { ATTEMPT_STATUSES, type AttemptStatus } from '../row.js'
import { deadlineOf } from '../wait.js'
import type { BatchRow } from './store.js'

/** Pauses between two looks at a batch, in milliseconds. They double. */
const FIRST_PAUSE = 20
const LONGEST_PAUSE = 1000

/** How many calls of a batch have which status. The call that follows it is not counted. */
export type BatchCounts = Record<AttemptStatus, number> & {
  total: number
  /** Those that have succeeded, failed, expired or been cancelled. */
  ended: number
  /** `ended` divided by `total`, from 0 to 1; 1 if there are no calls. */
  progress: number
}

export interface BatchWaitOptions {
  /** How long to wait. Default: without a limit. */
  timeout?: Duration
  /** Called with the counts, first at once and then whenever they have changed. What it throws, `wait` throws. */
  onProgress?: (counts: BatchCounts) => void
}

/** A class of attempts, as far as a batch needs it. */
export interface BatchClass extends BoundClass {
  createMany(calls: readonly never[], within?: WithinTransaction<never>): Promise<AttemptFields[]>
  cancelAll(filter: object): Promise<number>
}

/** A call that a class records, with its options. */
export type CallIn<Class> = CallInput<TargetsOf<Class>> & RecordOptions<DataOf<Class>>

type InstanceOf<Class> = Class extends abstract new (...args: never[]) => infer Instance ? Instance : never

/** A group of calls that were recorded together, with what follows when all of them have ended. */
export class Batch<Class = unknown> {
  readonly id: bigint
  /** The model of the attempts. */
  readonly model: string
  readonly #Attempt: BatchClass
  #row: BatchRow | undefined

  /** @param row undefined if it has not been read yet */
  constructor(Attempt: BatchClass, id: bigint, row?: BatchRow) {
    this.id = id
    this.model = Attempt.model
    this.#Attempt = Attempt
    this.#row = row
  }

  /**
   * Records more calls of this batch: calls that run may add to their own batch, also the last one.
   * @throws AsyncGenError BATCH_FINISHED after the last call has ended; and what `createMany` throws
   */
  async add(
    calls: CallIn<Class> | readonly CallIn<Class>[],
    within: WithinTransaction<ClientOf<Class>> = {},
  ): Promise<InstanceOf<Class>[]> {
    const list = (Array.isArray(calls) ? calls : [calls]) as unknown as AnyCall[]
    const added = list.map((call) => ({ ...call, batch: this }))
    return (await this.#Attempt.createMany(added as never[], within as never)) as InstanceOf<Class>[]
  }

  /** Counts the calls, by status. */
  async counts(): Promise<BatchCounts> {
    const found = await this.#Attempt.store.batches.counts(this.id)
    const counts = Object.fromEntries(ATTEMPT_STATUSES.map((status) => [status, found[status] ?? 0]))
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
    const ended = total - counts.pending! - counts.blocked! - counts.running!
    return { ...(counts as Record<AttemptStatus, number>), total, ended, progress: total === 0 ? 1 : ended / total }
  }

  /**
   * Cancels all calls that have not ended, and the call that follows. The signals of running calls abort, and no call can be added any more.
   * @returns how many calls it has cancelled
   * @throws AsyncGenError ROWS_LOCKED, as `cancelAll`
   */
  async cancel(): Promise<number> {
    const { store } = this.#Attempt
    await store.batches.cancel(this.id)
    const cancelled = await this.#Attempt.cancelAll({ batch: this })
    await store.batches.finish(String(this.id))
    return cancelled
  }

  /**
   * Waits until all calls have ended, in whichever way, and returns their counts. It does not wait for the call that follows.
   * @throws WaitTimeoutError; AsyncGenError UNKNOWN_OPTION, INVALID_OPTION, BATCH_GONE
   */
  async wait(options: BatchWaitOptions = {}): Promise<BatchCounts> {
    const { timeout, onProgress } = options
    const deadline = deadlineOf(options)
    let reported: string | undefined
    const report = async () => {
      const counts = await this.counts()
      const text = JSON.stringify(counts)
      if (text !== reported) onProgress?.(counts)
      reported = text
      return counts
    }
    for (let pause = FIRST_PAUSE; !(await this.reload()).isFinished; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      if (onProgress) await report()
      if (Date.now() >= deadline) {
        const { ended, total } = await this.counts()
        throw new WaitTimeoutError(`Of batch ${this.id}, ${ended} of ${total} calls have ended after ${timeout}.`)
      }
      await sleep(Math.min(pause, deadline - Date.now()))
    }
    return await report()
  }

  /** Whether the last call had ended when the batch was read: `reload` reads it again. */
  get isFinished(): boolean {
    return this.finishedAt !== null
  }

  get finishedAt(): Date | null {
    return dateOf(this.#row?.finishedAt)
  }

  get cancelledAt(): Date | null {
    return dateOf(this.#row?.cancelledAt)
  }

  get createdAt(): Date | null {
    return dateOf(this.#row?.createdAt)
  }

  /** The id of the attempt that follows the batch; null for none. */
  get thenId(): bigint | null {
    const id = this.#row?.thenId
    return id === undefined || id === null ? null : BigInt(id)
  }

  /**
   * Reads the batch again.
   * @throws AsyncGenError BATCH_GONE if retention has deleted it
   */
  async reload(): Promise<this> {
    this.#row = await this.#Attempt.store.batches.find(this.id)
    if (!this.#row) throw new AsyncGenError('BATCH_GONE', `There is no batch ${this.id} of ${this.model}.`)
    return this
  }

  /** Plain data for `JSON.stringify`, a response or a log. */
  toJSON(): BatchJson {
    return {
      id: this.id.toString(),
      model: this.model,
      thenId: this.thenId?.toString() ?? null,
      createdAt: this.createdAt?.toJSON() ?? null,
      cancelledAt: this.cancelledAt?.toJSON() ?? null,
      finishedAt: this.finishedAt?.toJSON() ?? null,
    }
  }

  /** What `console.log` shows. */
  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string,
  ): string {
    return `Batch ${inspect(this.toJSON(), options)}`
  }
}

/** A batch as JSON: ids are text, times are ISO 8601. */
export interface BatchJson {
  id: string
  model: string
  thenId: string | null
  createdAt: string | null
  cancelledAt: string | null
  finishedAt: string | null
}

function dateOf(text: string | null | undefined): Date | null {
  return text === null || text === undefined ? null : new Date(text)
}
