import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { backoff } from '../core/backoff.js'
import type { Database } from '../core/database.js'
import { secondsSince } from '../core/duration.js'
import { AsyncGenError, describeError, RefreshFailedError } from '../core/errors.js'
import { ProgressWriter } from '../core/progress-writer.js'
import { serialize } from '../core/serialize.js'
import { presenceOf } from '../presence/presence.js'
import { instrument } from '../telemetry/instrument.js'
import type { OperationEvent, OperationOutcome } from '../telemetry/operation.js'
import type { PreparedComputation, RegisteredToast, ToastComputation } from './registered-toast.js'
import { type ToastRegistry, toastsOf } from './registry.js'
import {
  type ClaimedRefresh,
  type NewValue,
  type RefreshRequest,
  type ToastId,
  type ToastRow,
  type ToastStore,
  toastIdText,
} from './store.js'

export type RefreshOutcome = 'refreshed' | 'failed' | 'nothing to do' | 'parent gone' | 'superseded' | 'released'

/**
 * What the worker does for one job: computes a toast and stores the value, if a refresh of it is due. An error of the computation is
 * recorded, not thrown.
 *
 * @param stopping aborts when the worker stops: a computation that then throws is released
 * @throws what the database throws
 */
export async function refreshToast(db: Database, id: ToastId, stopping?: AbortSignal): Promise<RefreshOutcome> {
  return (await refreshDue(db, id, stopping)).outcome
}

/** The same, with what the computation threw. */
export async function refreshDue(db: Database, id: ToastId, stopping?: AbortSignal): Promise<RefreshResult> {
  const registry = toastsOf(db)
  const { id: worker } = await presenceOf(db)
  const refresh = await registry.store.claim(id, worker)
  return refresh ? await runRefresh(registry, refresh, 'later', stopping) : { outcome: 'nothing to do' }
}

/**
 * Returns a row whose value is acceptable. Computes the value here, or waits for the process that is computing it. All callers in this
 * process that want the same row at the same time share one computation.
 *
 * @param retry after a failure here, whether the worker tries again, or the row stays as it was
 * @throws what the computation threw; RefreshFailedError where it failed in another process; AsyncGenError NEEDS_ITSELF where the caller
 * is a part of that computation; AsyncGenError PARENT_GONE
 */
export async function readOrCompute(
  db: Database,
  request: RefreshRequest,
  isAcceptable: (row: ToastRow) => boolean | Promise<boolean>,
  retry: 'later' | 'never',
): Promise<ToastRow> {
  const registry = toastsOf(db)
  refuseCircularWait(request)
  return await registry.runShared(`compute\0${toastIdText(request)}\0${request.version}`, async () => {
    const { store } = registry
    let row = await store.read(request)
    const failuresBefore = row?.refresh?.failures ?? 0
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE)) {
      if (row && (await isAcceptable(row))) return row
      const { locked_by = null, failures = 0, error } = row?.refresh ?? {}
      if (error && !locked_by && failures > failuresBefore) throw new RefreshFailedError(request, error)
      // The worker that has locked the row may be dead. The claim checks that in the database.
      if (!locked_by || pause === LONGEST_PAUSE) {
        const computed = await computeHere(db, registry, request, row, retry)
        if (computed) return computed
      }
      if (locked_by) await sleep(pause)
      row = await store.read(request)
    }
  })
}

/** Pauses between two looks at a row that another process computes. Milliseconds. */
const FIRST_PAUSE = 10
const LONGEST_PAUSE = 250

/** Undefined where another process computes the value. */
async function computeHere(
  db: Database,
  registry: ToastRegistry,
  request: RefreshRequest,
  row: ToastRow | undefined,
  retry: 'later' | 'never',
): Promise<ToastRow | undefined> {
  const { id: worker } = await presenceOf(db)
  const refresh = await registry.store.claimNow(request, worker, row)
  if (!refresh) return undefined
  const { outcome, error } = await runRefresh(registry, refresh, retry)
  if (outcome === 'failed') throw error
  if (outcome === 'parent gone') {
    throw new AsyncGenError(
      'PARENT_GONE',
      `The toast ${request.name} of ${request.key} cannot be computed: its record no longer exists.`,
    )
  }
  return outcome === 'refreshed' ? await registry.store.read(request) : undefined
}

interface RefreshResult {
  outcome: RefreshOutcome
  /** What was thrown, where the outcome is `failed`. */
  error?: unknown
}

/** Runs a claimed refresh, and emits its events. */
async function runRefresh(
  registry: ToastRegistry,
  refresh: ClaimedRefresh,
  retry: 'later' | 'never',
  stopping?: AbortSignal,
): Promise<RefreshResult> {
  const { name, key: id, failures, task, enqueuedBy } = refresh
  const isReport = registry.table.isReportTask(task)
  const event: OperationEvent = { type: isReport ? 'Report' : 'Toast', id, name, run: failures + 1, enqueuedBy }
  return await instrument(
    isReport ? 'build' : 'refresh',
    event,
    () => computeAndStore(registry, refresh, retry, stopping).finally(() => registry.store.markEnded(refresh)),
    ({ outcome, error }) => ({
      outcome: OPERATION_OUTCOMES[outcome] ?? (retry === 'later' ? 'retried' : 'failed'),
      ...(error !== undefined && { error: describeError(error) }),
    }),
  )
}

/** The outcome in events. That of a failure depends on whether it is tried again. */
const OPERATION_OUTCOMES: Partial<Record<RefreshOutcome, OperationOutcome>> = {
  refreshed: 'succeeded',
  'parent gone': 'succeeded',
  superseded: 'superseded',
  released: 'superseded',
}

async function computeAndStore(
  registry: ToastRegistry,
  refresh: ClaimedRefresh,
  retry: 'later' | 'never',
  stopping?: AbortSignal,
): Promise<RefreshResult> {
  const { store } = registry
  const { computation, release } = computationOf(store, refresh, stopping)
  try {
    const toast = registry.definitionOf(refresh.name)
    // Before the parent is read: a transaction that commits in between has then been seen as open.
    const isProvisional = mayMissInvalidation(refresh) && (await store.hasOpenChanges(refresh, refresh.cachedAt))
    const prepared = await toast.prepare(refresh)
    if (!prepared) return { outcome: (await store.remove(refresh)) ? 'parent gone' : 'superseded' }
    const value = await runInChain(refresh, () => compute(toast, prepared, computation))
    return { outcome: (await store.store(refresh, { ...value, isProvisional })) ? 'refreshed' : 'superseded' }
  } catch (error) {
    if (stopping?.aborted) {
      await store.release(refresh)
      return { outcome: 'released' }
    }
    await store.storeFailure(refresh, describeError(error), retry === 'later' ? backoff(refresh.failures + 1) : null)
    return { outcome: 'failed', error }
  } finally {
    release()
  }
}

/**
 * Whether an open transaction may have run its invalidation trigger before the row existed. Cached functions (`args` is set) have no
 * triggers.
 */
function mayMissInvalidation({ cachedAt, isProvisional, args }: ClaimedRefresh): boolean {
  return (cachedAt === null || isProvisional === true) && args === null
}

/** `version` was read before: a change of the parent during the computation makes the value stale. */
async function compute(
  { baseName, maxBytes }: RegisteredToast,
  { version, compute }: PreparedComputation,
  computation: ToastComputation,
): Promise<Omit<NewValue, 'isProvisional'>> {
  const started = performance.now()
  const value = await compute(computation)
  const elapsed = secondsSince(started)
  return { value: serialize(value, `result of ${baseName}: value`, maxBytes), version, elapsed }
}

function computationOf(store: ToastStore, refresh: ClaimedRefresh, stopping?: AbortSignal) {
  const controller = new AbortController()
  // Not AbortSignal.any: in Node 20, the signal of the worker would keep a reference to each refresh.
  const stop = () => controller.abort(stopping?.reason)
  if (stopping?.aborted) stop()
  stopping?.addEventListener('abort', stop)
  let hasEnded = false
  const progress = new ProgressWriter(async ({ done, message }) => {
    if (hasEnded || (await store.storeProgress(refresh, done, message))) return
    controller.abort(new AsyncGenError('SUPERSEDED', `Another worker now computes ${refresh.name}.`))
  })
  const release = () => {
    hasEnded = true
    stopping?.removeEventListener('abort', stop)
  }
  const computation: ToastComputation = {
    signal: controller.signal,
    progress(done, message) {
      if (done >= 0) progress.report(done, message)
    },
  }
  return { computation, release }
}

/** A running computation, and the computation that called it. */
interface ChainLink extends ToastId {
  hasEnded: boolean
  caller: ChainLink | undefined
}

const currentLink = new AsyncLocalStorage<ChainLink>()

/** Runs a computation so that `refuseCircularWait` knows it inside of the computations that it waits for. */
async function runInChain<Result>({ name, key }: ToastId, run: () => Promise<Result>): Promise<Result> {
  const link: ChainLink = { name, key, hasEnded: false, caller: currentLink.getStore() }
  try {
    return await currentLink.run(link, run)
  } finally {
    // Code that the computation started and that still runs may now wait for any toast.
    link.hasEnded = true
  }
}

/** Rejects a circular dependency, which would deadlock. */
function refuseCircularWait(target: ToastId): void {
  const chain = [target]
  for (let link = currentLink.getStore(); link && !link.hasEnded; link = link.caller) {
    chain.unshift(link)
    if (toastIdText(link) !== toastIdText(target)) continue
    const circle = chain.map(({ name, key }) => `${name} of ${key}`).join(' needs ')
    throw new AsyncGenError('NEEDS_ITSELF', `Circular dependency between toasts: ${circle}.`)
  }
}
