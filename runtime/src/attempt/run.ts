import { secondsSince } from '../core/duration.js'
import { describeError } from '../core/errors.js'
import { ProgressWriter } from '../core/progress-writer.js'
import type { Content, ContentOwner } from './content.js'
import { RunControl } from './current.js'
import type { AttemptRow, AttemptStatus, NewStoredError, RunKey } from './row.js'
import type { ClaimedRun, RunStore } from './run-store.js'

/** Wraps what was thrown, which may be undefined. */
export interface Thrown {
  thrown: unknown
}

/** One run that an attempt object has claimed, until it ends. */
export class AttemptRun {
  readonly key: RunKey
  /** Aborts when the worker has to stop. */
  readonly stopping: AbortSignal | undefined
  readonly control: RunControl
  phase: 'claimed' | 'calling' | 'handling' = 'claimed'
  /** Whether a hook has ended the run. */
  isDecided = false
  /** What the call threw. */
  error: Thrown | undefined
  /** What `handlePerformError` threw. */
  hookError: Thrown | undefined
  /** Why the end of the run could not be stored. */
  notStored: Thrown | undefined
  readonly #store: RunStore
  readonly #content: Content
  readonly #owner: ContentOwner
  readonly #started = performance.now()

  constructor(store: RunStore, content: Content, owner: ContentOwner, { run }: ClaimedRun, stopping?: AbortSignal) {
    this.key = run
    this.stopping = stopping
    this.control = new RunControl(stopping)
    this.#store = store
    this.#content = content
    this.#owner = owner
  }

  /** Whether a hook may end the run: `perform` before the call begins, and `handlePerformError` after it has failed. */
  get isDecidable(): boolean {
    return this.phase !== 'calling'
  }

  /** Stores that the call failed. Returns undefined if the run was superseded. */
  async fail(retryAfter: number | null, error: unknown): Promise<AttemptRow | undefined> {
    return await this.#store.fail(this.key, { retryAfter, error: this.#errorEntry(error) })
  }

  /** Sets the attempt back to pending without an error. Returns undefined if the run was superseded. */
  async postpone(delay: number): Promise<AttemptRow | undefined> {
    return await this.#store.fail(this.key, { retryAfter: delay })
  }

  /** Ends the run as a hook has decided, with the error of the call if it threw one. Returns undefined if it was superseded. */
  async decide(status: AttemptStatus, retryAfter: number | null): Promise<AttemptRow | undefined> {
    const error = this.error && this.#errorEntry(this.error.thrown)
    return await this.#store.endRun(this.key, { status, retryAfter, ...(error && { error }) })
  }

  /** Stores what the call reports. */
  progressWriter(): ProgressWriter {
    return new ProgressWriter(async ({ done, message }) => {
      const text = message === null ? null : this.#content.sealText(message, this.#owner, 'progress_message')
      await this.#store.storeProgress(this.key, done, text)
    })
  }

  /** Takes the run off the list of those that this process is running, whether or not its end could be stored. */
  finish(): void {
    this.#store.running.remove(this.key)
  }

  #errorEntry(error: unknown): NewStoredError {
    const { number, worker } = this.key
    const entry = { number, elapsed: secondsSince(this.#started), worker, ...describeError(error) }
    return this.#content.encodeError(entry, this.#owner, error)
  }
}
