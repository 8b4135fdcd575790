import { backoff } from '../core/backoff.js'
import { type Duration, delayMilliseconds } from '../core/duration.js'
import { DecryptionError, describeError, InvalidStateError, isInstance, PermanentError } from '../core/errors.js'
import { isTransient } from '../core/transient-errors.js'
import { instrument, type OperationEnd } from '../telemetry/instrument.js'
import type { OperationEvent } from '../telemetry/operation.js'
import type { BoundClass, PerformOptions } from './binding.js'
import { claim } from './claim.js'
import type { Content } from './content.js'
import { CurrentCall } from './current.js'
import { loadPredecessors } from './dependencies/load.js'
import { reasonOfBlock } from './dependencies/reason.js'
import { AttemptFields } from './fields.js'
import { describePause } from './pause-store.js'
import { perform, type RunOutcome } from './perform.js'
import type { AttemptRow, AttemptStatus } from './row.js'
import { AttemptRun, type Thrown } from './run.js'
import type { ClaimedRun } from './run-store.js'
import { type WaitOptions, waitFor } from './wait.js'

/** A run that is interrupted within so many milliseconds after another failed run waits before the next one. */
const INTERRUPTED_AGAIN = 60_000

/**
 * Has `perform`, or an override of it, run the call of a claimed run, and ends the run if an override did not. The class assigns it, so
 * that attempts have no such method in public.
 */
export let performClaimed: (
  attempt: AttemptLifecycle,
  claimed: ClaimedRun,
  signal?: AbortSignal,
) => Promise<Thrown | undefined>

/** What an attempt does: it runs its call, handles the error, and ends. Methods that change the row change this object with it. */
export abstract class AttemptLifecycle extends AttemptFields {
  /** The run that this object has claimed. */
  #run: AttemptRun | undefined

  /**
   * Runs the call now, if it is due. What the call writes through `Attempt.current().tx()` happens exactly once. Its other
   * effects happen at least once: if the process dies, the call runs again.
   *
   * Override it to do something around every run, and call `super`. The worker calls it too, with the run already claimed
   * (`status` is `running`). There, `fail`, `expire`, `cancel` and `retry` end the run before the call begins. An error thrown
   * before `super` counts as an error of the run. An override that does neither postpones the call by `retryDelay`.
   *
   * @returns true if the call ran; false if it is not due, blocked, waits for its limit, or its row is locked, with a warning ATTEMPT_NOT_DUE
   * @throws InvalidStateError unless the attempt is pending or blocked; and what `handlePerformError` throws
   */
  async perform({ signal }: PerformOptions = {}): Promise<boolean> {
    if (this.#run?.phase !== 'claimed') {
      const { claimed, waits } = await claim(classOf(this), this.id)
      if (!claimed) {
        await this.reload()
        if (!this.isPending && !this.isBlocked) throw this.#invalidState('perform')
        warnOfNoCall(this.#label, await reasonOfNoCall(this, classOf(this), waits))
        return false
      }
      this.#own(claimed, signal)
    }
    const hookError = await this.#execute(this.#run!)
    if (hookError) throw hookError.thrown
    return true
  }

  /**
   * Handles the error of a failed run. The default records the error and tries again after `retryDelay`. It fails the attempt if
   * that was the last run, if the call threw a PermanentError, and if the content does not decrypt. Override it to alert somebody,
   * and call `super`. Or decide otherwise: `fail`, `expire`, `cancel` and `retry` record the error and end the run, and a
   * PermanentError thrown here fails the attempt.
   */
  async handlePerformError(error: unknown): Promise<void> {
    const run = this.#run
    if (!run) throw new InvalidStateError(`${this.#label} is not running, so it has no error to handle.`)
    const { number } = run.key
    await this.#fail(run, error, () =>
      run.stopping?.aborted ? this.#interruptedDelay : delayMilliseconds(this.retryDelay(number), 'retryDelay'),
    )
  }

  /**
   * Runs the method of the target: `next` does. Override it to run code around every call, such as one that sets the tenant or the context
   * of your logger, and return what `super.around(next)` returns. `Attempt.current()` works in it, what it throws fails the run, and
   * the time limit of the run includes it.
   */
  around(next: () => Promise<unknown>): Promise<unknown> {
    return next()
  }

  /**
   * Called after the success of the call is stored and committed. Override it, and call `super`. An error that it throws is a warning
   * (HANDLE_SUCCESS_THREW). If the process dies before, it is not called: record a call in the method's transaction for what must happen.
   *
   * @param _result what the call returned, as it is stored
   */
  async handleSuccess(_result: unknown): Promise<void> {}

  /** Milliseconds to wait after the n-th failed run. If an override throws or returns no length of time, the default applies. */
  retryDelay(run: number): number {
    return backoff(run)
  }

  /** Ends a pending or blocked attempt whose time has passed. In a hook: ends the run that failed. */
  async expire(): Promise<void> {
    await this.#endAs('expired', 'expire')
  }

  /** Ends a pending or blocked attempt as failed. In a hook: ends the run that failed. */
  async fail(): Promise<void> {
    await this.#endAs('failed', 'fail')
  }

  /** Ends an attempt that is pending, blocked or running. The signal of a running call aborts, and its result is not stored. */
  async cancel(): Promise<void> {
    await this.#change(this.#decide('cancelled') ?? classOf(this).store.cancel(this.id), 'cancel')
  }

  /**
   * Makes an attempt due that is pending or that ended without success. It gets at least one more run. In a hook: the attempt
   * whose run failed.
   * @param options `delay`: how long to wait first. Default: not at all
   */
  async retry({ delay = 0 }: { delay?: Duration } = {}): Promise<void> {
    const wait = delayMilliseconds(delay, 'delay')
    await this.#change(this.#decide('pending', wait) ?? classOf(this).store.retry(this.id, wait), 'retry')
    // A trigger blocks it again if one that it waits for, or the batch that it follows, has not ended.
    if (this.afterIds.length > 0 || this.batchId !== null) await this.#refresh()
  }

  /**
   * Waits for the end of the attempt, and resolves with what the call returned.
   * @throws AttemptEndedError if it ended without success, with the stored error as its cause; WaitTimeoutError
   */
  async wait(options: WaitOptions = {}): Promise<unknown> {
    return await waitFor(this, this.#label, options)
  }

  /**
   * Reads the row again.
   * @throws InvalidStateError if it was deleted
   */
  async reload(): Promise<this> {
    const row = await classOf(this).store.find(this.id)
    if (!row) throw new InvalidStateError(`${this.#label} does not exist any more: its row was deleted.`)
    this.row = row
    return this
  }

  static {
    performClaimed = (attempt, claimed, signal) => attempt.#performClaimed(claimed, signal)
  }

  async #performClaimed(claimed: ClaimedRun, signal?: AbortSignal): Promise<Thrown | undefined> {
    const run = this.#own(claimed, signal)
    try {
      await this.perform(signal ? { signal } : {})
    } catch (thrown) {
      if (run.phase === 'claimed') await this.#execute(run, { thrown })
      else if (run.hookError?.thrown !== thrown) {
        const isNotStored = run.notStored?.thrown === thrown
        warnOfHook('perform', this.#label, thrown, isNotStored ? NOT_STORED : undefined)
      }
    }
    if (run.phase === 'claimed' && this.isRunning) await this.#execute(run, 'postpone')
    this.#disown(run)
    return run.notStored
  }

  protected override get content(): Content {
    return classOf(this).content
  }

  protected override get now(): number {
    return classOf(this).db.now()
  }

  get #label(): string {
    return `${this.constructor.name} ${this.id} (${this.target}.${this.method})`
  }

  #invalidState(verb: string): InvalidStateError {
    return new InvalidStateError(`Cannot ${verb} ${this.#label}: its status is ${this.status}.`)
  }

  #own(claimed: ClaimedRun, stopping: AbortSignal | undefined): AttemptRun {
    this.row = claimed.row
    this.#run = new AttemptRun(classOf(this).store.runs, this.content, this, claimed, stopping)
    return this.#run
  }

  #disown(run: AttemptRun): void {
    if (this.#run === run) this.#run = undefined
    run.finish()
  }

  /** Runs the call, unless an override of `perform` has failed or postponed it. Returns what `handlePerformError` threw. */
  async #execute(run: AttemptRun, instead?: Thrown | 'postpone'): Promise<Thrown | undefined> {
    run.phase = 'calling'
    try {
      await instrument(
        'run',
        this.#event(run),
        async () => {
          const outcome = await this.#outcome(run, instead)
          run.hookError = await this.#settle(run, outcome)
          return outcome
        },
        (outcome) => this.#end(run, outcome),
      )
      return run.hookError
    } catch (thrown) {
      run.notStored = { thrown }
      throw thrown
    } finally {
      this.#disown(run)
    }
  }

  async #outcome(run: AttemptRun, instead?: Thrown | 'postpone'): Promise<RunOutcome> {
    if (instead === 'postpone') return { kind: 'postponed' }
    if (instead) return { kind: 'failed', error: instead.thrown }
    const { db, store } = classOf(this)
    const { key, control } = run
    const predecessors = this.row.after_ids?.length ? await this.#predecessors(run) : undefined
    if (predecessors && 'kind' in predecessors) return predecessors
    const call = new CurrentCall(db, this as AttemptFields, key.number, control, run, predecessors)
    store.runs.running.begin(key, control)
    const isOverridden = this.around !== AttemptLifecycle.prototype.around
    return await perform(call, { key, control, around: isOverridden ? (next) => this.around(next) : undefined })
  }

  /** The attempts that it has waited for. If they cannot be read now, the run is not counted. */
  async #predecessors({ key }: AttemptRun) {
    try {
      return await loadPredecessors<AttemptFields>(this)
    } catch (error) {
      if (!isTransient(error)) return { kind: 'failed' as const, error }
      classOf(this).store.runs.releaseLater(key)
      return { kind: 'released' as const, error }
    }
  }

  #event({ key: { id, number } }: AttemptRun): OperationEvent {
    const name = `${this.target}.${this.method}`
    return { type: this.constructor.name, id: `${id}`, name, run: number, enqueuedBy: this.row.trace_context }
  }

  /** How the run ended, for its event. */
  #end({ key, isDecided, hookError }: AttemptRun, outcome: RunOutcome): OperationEnd {
    const { kind } = outcome
    if (kind === 'succeeded' || kind === 'superseded' || kind === 'snoozed') return { outcome: kind }
    if (kind === 'postponed') return { outcome: this.isPending ? 'retried' : 'superseded' }
    const error = this.content.loggable(hookError ? hookError.thrown : outcome.error, this)
    // A worker whose session was lost finds out after its run what others have done meanwhile.
    if (kind === 'released' && this.numAttempts > key.number) return { outcome: 'superseded' }
    if (kind === 'released' || this.isPending) return { outcome: 'retried', error }
    return { outcome: isDecided || this.isFailed ? 'failed' : 'superseded', error }
  }

  async #settle(run: AttemptRun, outcome: RunOutcome): Promise<Thrown | undefined> {
    if (outcome.kind === 'failed') return await this.#handle(run, outcome.error)
    if (outcome.kind === 'superseded' || outcome.kind === 'released' || outcome.kind === 'snoozed')
      await this.#refresh()
    else if (outcome.kind === 'postponed') await this.#use(run.postpone(this.#safeDelay(run)))
    else {
      const result = JSON.parse(outcome.result)
      this.row = { ...this.row, status: 'succeeded', result, completed_at: new Date(this.now), locked_by: null }
      if (this.handleSuccess !== AttemptLifecycle.prototype.handleSuccess) await this.#afterSuccess()
    }
    return undefined
  }

  /** Calls the hook. If it does not end the run, or throws, the attempt is retried. Returns what it threw. */
  async #handle(run: AttemptRun, error: unknown): Promise<Thrown | undefined> {
    run.phase = 'handling'
    run.error = { thrown: error }
    const { number } = run.key
    try {
      await this.handlePerformError(error)
      if (this.isRunning) await this.#use(run.postpone(delayMilliseconds(this.retryDelay(number), 'retryDelay')))
      return undefined
    } catch (thrown) {
      const isFinal = isInstance(thrown, PermanentError)
      if (isFinal && (this.isRunning || this.isPending)) await this.#endAs('failed', 'fail').catch(() => {})
      else if (this.isRunning) await this.#fail(run, error, () => backoff(number))
      return { thrown }
    }
  }

  /** The result is stored, so an error of the hook changes nothing. */
  async #afterSuccess(): Promise<void> {
    try {
      await this.handleSuccess(this.result)
    } catch (thrown) {
      warnOfHook('handleSuccess', this.#label, thrown)
    }
  }

  #safeDelay({ key: { number } }: AttemptRun): number {
    try {
      return delayMilliseconds(this.retryDelay(number), 'retryDelay')
    } catch {
      return backoff(number)
    }
  }

  /** An interrupted run has no fault, so the next one follows at once. If that was interrupted too, it waits. */
  get #interruptedDelay(): number {
    const recent = this.row.errors.filter((entry) => this.now - Date.parse(entry?.at) < INTERRUPTED_AGAIN)
    return recent.length === 0 ? 0 : backoff(recent.length)
  }

  /** Records an error, and sets the attempt back to pending or, if this was its last run, fails it. */
  async #fail(run: AttemptRun, error: unknown, delay: () => number): Promise<void> {
    const isFinal =
      run.control.isFinal || isInstance(error, PermanentError, DecryptionError) || run.key.number >= this.maxAttempts
    await this.#use(run.fail(isFinal ? null : delay(), error))
  }

  async #endAs(status: 'expired' | 'failed', verb: string): Promise<void> {
    const lastRun = this.#run?.isDecidable ? this.#run.key.number : undefined
    await this.#change(this.#decide(status) ?? classOf(this).store.end(this.id, status, lastRun), verb)
  }

  /** In a hook: ends the run as the hook has decided. Outside of hooks: undefined. */
  #decide(status: AttemptStatus, retryAfter: number | null = null): Promise<AttemptRow | undefined> | undefined {
    if (!this.#run?.isDecidable) return undefined
    this.#run.isDecided = true
    return this.isRunning ? this.#run.decide(status, retryAfter) : undefined
  }

  /** Takes over the row after a change of the run. If the run was superseded, reads what the row has become. */
  async #use(change: Promise<AttemptRow | undefined>): Promise<void> {
    const row = await change
    if (row) this.row = row
    else await this.#refresh()
  }

  /** Reads the row again. If it was deleted, this object keeps what it had. */
  async #refresh(): Promise<void> {
    this.row = (await classOf(this).store.find(this.id)) ?? this.row
  }

  async #change(change: Promise<AttemptRow | undefined>, verb: string): Promise<void> {
    const row = await change
    if (!row) {
      await this.reload()
      throw this.#invalidState(verb)
    }
    this.row = row
  }
}

function classOf(attempt: AttemptLifecycle): BoundClass {
  return attempt.constructor as unknown as BoundClass
}

/** Without the warning, a caller that ignores what `perform` returns would believe that the call has run. */
function warnOfNoCall(label: string, why: string): void {
  process.emitWarning(`perform() did not run ${label}: ${why}.`, { code: 'ATTEMPT_NOT_DUE' })
}

async function reasonOfNoCall(attempt: AttemptFields, { store }: BoundClass, waits: boolean): Promise<string> {
  const { hasExpired, isBlocked, isDue, expiresAt, scheduledAt, limitKey } = attempt
  if (hasExpired) return `it expired at ${expiresAt!.toISOString()}`
  if (isBlocked) return await reasonOfBlock(attempt, store)
  if (!isDue) return `it is due at ${scheduledAt.toISOString()}`
  const [pause] = await store.pauses.matching(attempt)
  if (pause) return describePause(pause)
  if (waits) return `it waits for the limit ${JSON.stringify(limitKey)}`
  return 'its row is locked, or the clock of the database says that it is not due yet'
}

const NOT_STORED = 'could not store the end of the run'

/** A hook threw after its run had ended, which changes nothing, or the database refused to store the end. */
function warnOfHook(
  hook: 'perform' | 'handleSuccess',
  label: string,
  thrown: unknown,
  what = 'threw after the run had ended',
): void {
  const { name, message } = describeError(thrown)
  process.emitWarning(`${hook}() of ${label} ${what}: ${name}: ${message}`, {
    code: hook === 'perform' ? 'PERFORM_THREW' : 'HANDLE_SUCCESS_THREW',
  })
}
