import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { backoff } from '../core/backoff.js'
import type { Database } from '../core/database.js'
import { secondsSince } from '../core/duration.js'
import { AsyncGenError, describeError, RefreshFailedError } from '../core/errors.js'
import { serialize } from '../core/serialize.js'
import { presenceOf } from '../presence/presence.js'
import { instrument } from '../telemetry/instrument.js'
import type { OperationEvent, OperationOutcome } from '../telemetry/operation.js'
import { type Computation, type ToastDefinition, type ToastRegistry, toastsOf, type Work } from './registry.js'
import {
  type NewValue,
  type Refresh,
  type Request,
  type ToastId,
  type ToastRow,
  type ToastStore,
  textOf,
} from './store.js'

export type RefreshOutcome = 'refreshed' | 'failed' | 'nothing to do' | 'parent gone' | 'superseded' | 'released'

/** Computes a toast and stores it, if a refresh of it is due: what the worker does. It throws only where the database does. */
export async function refreshToast(db: Database, id: ToastId, stopping?: AbortSignal): Promise<RefreshOutcome> {
  const registry = toastsOf(db)
  const { id: worker } = await presenceOf(db)
  const refresh = await registry.store.claim(id, worker)
  if (!refresh) return 'nothing to do'
  return (await carryOut(registry, refresh, 'later', stopping)).outcome
}

/**
 * A row whose value is good enough. It is computed here, or by whoever computes it already, in whatever process; all who ask
 * in this process at the same time ask once.
 *
 * @param retry whether a failure here has the worker try again, or leaves the row as if nobody had asked
 * @throws what the computation threw; RefreshFailedError where it failed in another process; AsyncGenError NEEDS_ITSELF where
 * what asks is a part of that computation
 */
export async function obtain(
  db: Database,
  request: Request,
  goodEnough: (row: ToastRow) => boolean | Promise<boolean>,
  retry: 'later' | 'never',
): Promise<ToastRow> {
  const registry = toastsOf(db)
  refuseCircle(request)
  return await registry.share(`obtain\0${textOf(request)}\0${request.version}`, async () => {
    const { store } = registry
    let row = await store.read(request)
    const failuresBefore = row?.refresh?.failures ?? 0
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE)) {
      if (row && (await goodEnough(row))) return row
      const { locked_by = null, failures = 0, error } = row?.refresh ?? {}
      if (error && !locked_by && failures > failuresBefore) throw new RefreshFailedError(request, error)
      // Whoever computes may have died meanwhile; a taker is told so by the database.
      if (!locked_by || pause === LONGEST_PAUSE) {
        const computed = await computeHere(db, registry, request, row, retry)
        if (computed) return computed
      }
      if (locked_by) await sleep(pause)
      row = await store.read(request)
    }
  })
}

const FIRST_PAUSE = 10
const LONGEST_PAUSE = 250

/** Nothing where somebody else computes it. */
async function computeHere(
  db: Database,
  registry: ToastRegistry,
  request: Request,
  seen: ToastRow | undefined,
  retry: 'later' | 'never',
): Promise<ToastRow | undefined> {
  const { id: worker } = await presenceOf(db)
  const refresh = await registry.store.take(request, worker, seen)
  if (!refresh) return undefined
  const { outcome, error } = await carryOut(registry, refresh, retry)
  if (outcome === 'failed') throw error
  if (outcome === 'parent gone') {
    throw new AsyncGenError(
      'PARENT_GONE',
      `The record of the toast ${request.name} with the key ${request.key} is gone.`,
    )
  }
  return outcome === 'refreshed' ? await registry.store.read(request) : undefined
}

interface CarriedOut {
  outcome: RefreshOutcome
  /** What was thrown, where it failed. */
  error?: unknown
}

/** Computes what was claimed, and stores the value or records the failure; tells who listens. */
async function carryOut(
  registry: ToastRegistry,
  refresh: Refresh,
  retry: 'later' | 'never',
  stopping?: AbortSignal,
): Promise<CarriedOut> {
  const { name, key: id, failures, task, enqueuedBy } = refresh
  const isToast = task === 'refresh_toast'
  const event: OperationEvent = { type: isToast ? 'Toast' : 'Report', id, name, run: failures + 1, enqueuedBy }
  return await instrument(
    isToast ? 'refresh' : 'build',
    event,
    () => computeAndStore(registry, refresh, retry, stopping).finally(() => registry.store.letGo(refresh)),
    ({ outcome, error }) => ({
      outcome: OUTCOMES[outcome] ?? (retry === 'later' ? 'retried' : 'failed'),
      ...(error !== undefined && { error: describeError(error) }),
    }),
  )
}

/** How an outcome is told; a failure depends on whether it is tried again. */
const OUTCOMES: Partial<Record<RefreshOutcome, OperationOutcome>> = {
  refreshed: 'succeeded',
  'parent gone': 'succeeded',
  superseded: 'superseded',
  released: 'superseded',
}

async function computeAndStore(
  registry: ToastRegistry,
  refresh: Refresh,
  retry: 'later' | 'never',
  stopping?: AbortSignal,
): Promise<CarriedOut> {
  const { store } = registry
  const { computation, release } = computationOf(store, refresh, stopping)
  try {
    const definition = registry.definitionOf(refresh.name)
    // Asked before anything is read: see changesAhead.
    const doubtful = isUnsettled(refresh) && (await store.changesAhead(refresh, refresh.cachedAt))
    const work = await definition.prepare(refresh)
    if (!work) return { outcome: (await store.remove(refresh)) ? 'parent gone' : 'superseded' }
    const value = await within(refresh, () => compute(definition, work, computation))
    return { outcome: (await store.store(refresh, { ...value, doubtful })) ? 'refreshed' : 'superseded' }
  } catch (error) {
    if (stopping?.aborted) {
      await store.release(refresh)
      return { outcome: 'released' }
    }
    await store.postpone(refresh, describeError(error), retry === 'later' ? backoff(refresh.failures + 1) : null)
    return { outcome: 'failed', error }
  } finally {
    release()
  }
}

/** Whether a transaction may be open that began when the row was not there yet. No trigger knows of cached functions. */
function isUnsettled({ cachedAt, doubtful, args }: Refresh): boolean {
  return (cachedAt === null || doubtful === true) && args === null
}

/** The version was read before this begins, so that a change of the parent meanwhile makes the value stale. */
async function compute(
  { baseName, maxBytes }: ToastDefinition,
  { version, compute }: Work,
  computation: Computation,
): Promise<Omit<NewValue, 'doubtful'>> {
  const started = performance.now()
  const value = await compute(computation)
  const elapsed = secondsSince(started)
  return { value: serialize(value, `result of ${baseName}: value`, maxBytes), version, elapsed }
}

const PROGRESS_EVERY = 500

function computationOf(store: ToastStore, refresh: Refresh, stopping?: AbortSignal) {
  const aborting = new AbortController()
  // Not AbortSignal.any: in Node 20, the signal of a worker would remember each refresh for as long as it runs.
  const stop = () => aborting.abort(stopping?.reason)
  if (stopping?.aborted) stop()
  stopping?.addEventListener('abort', stop)
  let written = Number.NEGATIVE_INFINITY
  const computation: Computation = {
    signal: aborting.signal,
    progress(done) {
      if (!(performance.now() - written >= PROGRESS_EVERY && done >= 0)) return
      written = performance.now()
      // A computation is not to fail because its progress cannot be told.
      store.advance(refresh, Math.min(done, 1)).then(
        (ours) =>
          ours || aborting.abort(new AsyncGenError('SUPERSEDED', `Another worker computes ${refresh.name} now.`)),
        () => {},
      )
    },
  }
  return { computation, release: () => stopping?.removeEventListener('abort', stop) }
}

/** A computation, and the one that it is a part of. */
interface Link extends ToastId {
  over: boolean
  partOf: Link | undefined
}

const underWay = new AsyncLocalStorage<Link>()

/** Runs a computation so that all which it asks for knows what it is a part of. */
async function within<Result>({ name, key }: ToastId, run: () => Promise<Result>): Promise<Result> {
  const link: Link = { name, key, over: false, partOf: underWay.getStore() }
  try {
    return await underWay.run(link, run)
  } finally {
    // What it has set going, and goes on after it, may ask for anything.
    link.over = true
  }
}

/** Rejects a circular dependency, which would deadlock. */
function refuseCircle(wanted: ToastId): void {
  const chain = [wanted]
  for (let link = underWay.getStore(); link && !link.over; link = link.partOf) {
    chain.unshift(link)
    if (textOf(link) !== textOf(wanted)) continue
    const circle = chain.map(({ name, key }) => `${name} of ${key}`).join(' needs ')
    throw new AsyncGenError('NEEDS_ITSELF', `This would wait for itself for ever: ${circle}.`)
  }
}
