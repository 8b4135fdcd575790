import { AsyncLocalStorage } from 'node:async_hooks'
import { type Database, LOCK_NOT_AVAILABLE } from '../../core/database.js'
import type { Query } from '../../core/statement.js'
import { hasNotCommitted, isTransient } from '../../core/transient-errors.js'
import { microbatch } from '../batch.js'
import type { AttemptRow } from '../row.js'
import type { Limit } from './limit.js'
import { type LimitList, limitKey, splitLimitKey } from './list.js'
import { claimStatements } from './sql/claims.js'
import { limitJobStatements } from './sql/jobs.js'

/** What a claim has to know about the limits of `targets.ts`. */
export interface ClaimLimits {
  list: LimitList
  /** The arguments of a row, decrypted. */
  argsOf(row: WaitingRow): unknown[]
}

/** A row whose key may have to be computed. */
export type WaitingRow = Pick<AttemptRow, 'id' | 'target' | 'method' | 'encryptor' | 'args' | 'limit_key'>

/** How a claim is made. */
export interface ClaimOptions {
  limits?: ClaimLimits | undefined
  /** Set for a job: it runs the next call of its key, which may be another one than that of its id. */
  job?: ClaimJob | undefined
}

export interface ClaimJob {
  /** The key in the payload of the job. */
  limitKey?: string | undefined
  /** Whether to add a job for the call after it, if there is room for it and it has none. */
  enqueuesNext: boolean
}

/** The answer to a claim: the row that now runs, or whether the call waits for its limit. */
export interface LimitedClaim {
  row: AttemptRow | undefined
  waits: boolean
  /** Whether the call has no limit, so that it is to be claimed without one. */
  isUnlimited?: boolean
  error?: { thrown: unknown }
}

interface Request {
  id: bigint
  worker: number
  limits: ClaimLimits
  job: ClaimOptions['job']
  /** Runs a function in the asynchronous context of the request: a test may run its statements in a transaction. */
  inContext<Result>(run: () => Result): Result
  query: Query
}

/** The requests of a key. */
interface KeyClaim {
  limitKey: string
  limit: Limit
  requests: Request[]
}

/** What the statement returns for each key and each row that it has started; a row whose columns are null if it has started none. */
interface StartedRow extends AttemptRow {
  limitKey: string
  concurrency: number | null
  running: number | null
  rateLimit: number | null
  used: number | null
  rateMs: number | null
  isLocked: boolean
  /** How many calls of the key were found that may start, with a few that had no slot; null if that was not counted. */
  found: number | null
}

/** The answer for a key: at least one row, which says how much of the limit is used. */
type ClaimedKey = [StartedRow, ...StartedRow[]]

interface ClaimedKeys {
  claimed: Map<string, ClaimedKey | undefined>
  /** The keys whose locks were free. */
  locked: Set<string>
}

/**
 * How long a claim waits for the locks on all of its keys, in milliseconds. Other claims and ends of runs hold them briefly. A transaction
 * of the host that has ended a run holds one until its end, and must not delay the calls of other keys.
 */
const LOCK_TIMEOUT = 500

/** Claims calls that have a limit. */
export class LimitedClaims {
  readonly #db: Database
  readonly #model: string
  readonly #task: string
  readonly #releaseLater: (id: bigint) => void
  readonly #sql: ReturnType<typeof claimStatements>
  readonly #jobs: ReturnType<typeof limitJobStatements>
  readonly #claim: (request: Request) => Promise<LimitedClaim>

  /** @param releaseLater has the sweep release a row that is running, unless this process runs it */
  constructor(
    db: Database,
    { model, table, task }: { model: string; table: string; task: string },
    releaseLater: (id: bigint) => void,
  ) {
    this.#db = db
    this.#model = model
    this.#task = task
    this.#releaseLater = releaseLater
    this.#sql = claimStatements(table)
    this.#jobs = limitJobStatements(table)
    this.#claim = microbatch({
      together: (requests) => this.#claimTogether(requests),
      alone: async (request) => (await this.#claimTogether([request]))[0]!,
    })
  }

  async claim(id: bigint, worker: number, limits: ClaimLimits, job: ClaimOptions['job']): Promise<LimitedClaim> {
    const { query } = this.#db
    const claim = await this.#claim({ id, worker, limits, job, inContext: AsyncLocalStorage.snapshot(), query })
    if (claim.error) throw claim.error.thrown
    return claim
  }

  async #claimTogether(requests: readonly Request[]): Promise<(LimitedClaim | undefined)[]> {
    const [{ query, inContext }] = requests as [Request]
    const batch = requests.filter((request) => request.query === query)
    const answers = await inContext(async () => {
      const { keys, unlimited } = await this.#keysOf(batch)
      const claimed = new Map<Request, LimitedClaim>(unlimited.map((request) => [request, isUnlimited]))
      // Two entries of one key in one statement would both use its free slots.
      for (const isJob of [true, false]) {
        for (const [request, answer] of await this.#claimKeys(keys, isJob)) claimed.set(request, answer)
      }
      return claimed
    })
    return requests.map((request) => (request.query === query ? (answers.get(request) ?? isNotPending) : undefined))
  }

  /**
   * The requests by their keys, and those of calls that have no limit, or whose key cannot be computed. Those of calls that are not pending
   * are in neither: a call that is retried in this moment must not begin without its limit.
   */
  async #keysOf(requests: readonly Request[]): Promise<{ keys: KeyClaim[]; unlimited: Request[] }> {
    const keys = new Map<string, KeyClaim>()
    const unlimited: Request[] = []
    const add = (limitKey: string, limit: Limit, request: Request) => {
      const known = keys.get(limitKey)
      if (known) known.requests.push(request)
      else keys.set(limitKey, { limitKey, limit, requests: [request] })
    }
    const others = requests.filter((request) => {
      const { limitKey } = request.job ?? {}
      const limit = limitKey === undefined ? undefined : request.limits.list.ofKey(limitKey)
      if (limit) add(limitKey!, limit, request)
      return !limit
    })
    if (others.length === 0) return { keys: [...keys.values()], unlimited }

    const rows = await this.#db.query<WaitingRow>(this.#sql.waiting, [others.map(({ id }) => id)])
    const byId = new Map(rows.map((row) => [BigInt(row.id), row]))
    const computed: { id: bigint; key: string }[] = []
    for (const request of others) {
      const row = byId.get(request.id)
      if (!row) continue
      const named = request.limits.list.of(row)
      if (!named) {
        unlimited.push(request)
        continue
      }
      let key = row.limit_key
      if (key === null || splitLimitKey(key).name !== named.name) {
        try {
          key = limitKey(named, `${row.target}.${row.method}`, request.limits.argsOf(row))
        } catch {
          // The call is claimed without a limit, and its run fails with the same error.
          unlimited.push(request)
          continue
        }
        computed.push({ id: request.id, key })
      }
      add(key, named.limit, request)
    }
    if (computed.length > 0)
      await this.#db.query(this.#sql.storeKeys, [computed.map(({ id }) => id), computed.map(({ key }) => key)])
    return { keys: [...keys.values()], unlimited }
  }

  async #claimKeys(all: readonly KeyClaim[], isJob: boolean): Promise<[Request, LimitedClaim][]> {
    const keys = all.flatMap((key) => {
      const requests = key.requests.filter(({ job }) => (job !== undefined) === isJob)
      return requests.length === 0 ? [] : [{ ...key, requests }]
    })
    if (keys.length === 0) return []
    const fast = await this.#claimSlots(keys.filter(({ limit }) => isJob && !limit.isStrict && !limit.rate))
    const others = keys.filter(({ limitKey }) => !fast.has(limitKey))
    const answers = keys
      .filter(({ limitKey }) => fast.has(limitKey))
      .flatMap((key) => answersOf(key, fast.get(key.limitKey)))
    try {
      const claimed = await this.#claimInTransaction(others, isJob)
      return [...answers, ...others.flatMap((key) => answersOf(key, claimed.get(key.limitKey)))]
    } catch (thrown) {
      // The others are claimed already.
      const failed: LimitedClaim = { row: undefined, waits: false, error: { thrown } }
      return [
        ...answers,
        ...others.flatMap(({ requests }) => requests.map((each): [Request, LimitedClaim] => [each, failed])),
      ]
    }
  }

  /** Claims calls of keys whose locks are free with one statement. */
  async #claimSlots(keys: readonly KeyClaim[]): Promise<Map<string, ClaimedKey>> {
    // In the transaction of a test, statements of other requests run in between.
    if (keys.length === 0 || this.#db.transactionOfTest) return new Map()
    const { worker } = keys[0]!.requests[0]!
    const names = keys.map(({ limitKey }) => limitKey)
    const limits = names.map((limitKey) => splitLimitKey(limitKey).name)
    const wanted = keys.map(({ requests }) => requests.length)
    const values = [names, worker, this.#model, limits, wanted, keys.map(({ limit }) => limit.concurrency)]
    const rows = await this.#db.query<StartedRow>(this.#sql.claimSlots, values).catch(async (error) => {
      if (!hasNotCommitted(error) && isTransient(error)) await this.#releaseUncertain(names, worker)
      throw error
    })
    const claimed = byKey(rows)
    // The ends of the runs that have begun enqueue the next calls too.
    if (keys.some(enqueuesNext)) await this.#wakeNext(this.#db.query, keys, claimed).catch(() => {})
    return claimed
  }

  /** Runs that a claim may have begun although its answer was lost. Those that this process knows are not released. */
  async #releaseUncertain(keys: string[], worker: number): Promise<void> {
    const rows = await this.#db.query<{ id: string }>(this.#sql.runningOf, [keys, worker]).catch(() => [])
    for (const { id } of rows) this.#releaseLater(BigInt(id))
  }

  async #claimInTransaction(keys: readonly KeyClaim[], isJob: boolean): Promise<Map<string, ClaimedKey | undefined>> {
    if (keys.length === 0) return new Map()
    const names = keys.map(({ limitKey }) => limitKey)
    const { claimed, locked }: ClaimedKeys = await this.#claimOnce(async (query) => {
      const locks = await query<{ key: string; acquired: boolean }>(this.#sql.tryLock, [this.#model, names])
      const locked = new Set(locks.filter(({ acquired }) => acquired).map(({ key }) => key))
      const unlocked = keys.filter(({ limitKey }) => locked.has(limitKey))
      const claimed = await this.#claimLocked(query, unlocked, isJob)
      return { claimed, begun: [...claimed.values()], locked }
    })
    const deadline = performance.now() + LOCK_TIMEOUT
    // One after the other: who waits for a lock holds none.
    for (const key of keys) {
      if (!locked.has(key.limitKey)) claimed.set(key.limitKey, await this.#claimBusy(key, isJob, deadline))
    }
    return claimed
  }

  /** Waits for the lock on a key until a deadline. If it stays locked, the calls of the key are left to a later try. */
  async #claimBusy(key: KeyClaim, isJob: boolean, deadline: number): Promise<ClaimedKey | undefined> {
    const timeout = Math.floor(deadline - performance.now())
    if (timeout <= 0) return undefined
    const { claimed } = await this.#claimOnce(async (query) => {
      await query(this.#sql.lockSoon, [`${timeout}ms`])
      const isLocked = await query(this.#sql.lock, [this.#model, key.limitKey]).then(
        () => true,
        (error) => {
          if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return false
          throw error
        },
      )
      const claimed = isLocked ? (await this.#claimLocked(query, [key], isJob)).get(key.limitKey) : undefined
      return { claimed, begun: claimed ? [claimed] : [] }
    })
    return claimed
  }

  /**
   * Claims in a transaction. It may be tried again although it was committed and only the answer was lost. So the sweep releases the runs
   * of earlier tries, unless they have begun again.
   */
  async #claimOnce<Result extends { begun: ClaimedKey[] }>(claim: (query: Query) => Promise<Result>): Promise<Result> {
    let uncertain: ClaimedKey[] = []
    const releaseUncertain = () => {
      for (const { id } of uncertain.flat().filter(isStarted)) this.#releaseLater(BigInt(id))
    }
    try {
      return await this.#db.transaction(async (query) => {
        releaseUncertain()
        uncertain = []
        const result = await claim(query)
        uncertain = result.begun
        return result
      })
    } catch (error) {
      releaseUncertain()
      throw error
    }
  }

  /** Returns the answer of the database by key. */
  async #claimLocked(query: Query, keys: readonly KeyClaim[], isJob: boolean): Promise<Map<string, ClaimedKey>> {
    if (keys.length === 0) return new Map()
    const given = keys.map(({ limitKey, limit, requests }) => ({
      limitKey,
      name: splitLimitKey(limitKey).name,
      wanted: requests.length,
      concurrency: limit.concurrency,
      isStrict: limit.isStrict,
      rateLimit: limit.rate?.limit,
      rateMs: limit.rate?.per,
      ids: isJob ? undefined : requests.map(({ id }) => id.toString()),
    }))
    const { worker } = keys[0]!.requests[0]!
    const rows = await query<StartedRow>(this.#sql.claim, [JSON.stringify(given), worker, this.#model])
    const claimed = byKey(rows)
    if (keys.some(enqueuesNext)) await this.#wakeNext(query, keys, claimed)
    return claimed
  }

  /** Adds a job for the next call of each key that has room for it. Without room, the end of a run adds the job. */
  async #wakeNext(query: Query, keys: readonly KeyClaim[], claimed: ReadonlyMap<string, ClaimedKey>): Promise<void> {
    const now: string[] = []
    const later: StartedRow[] = []
    for (const { limitKey, requests } of keys) {
      const rows = claimed.get(limitKey)
      if (!rows) continue
      const [usage] = rows
      const started = rows.filter(isStarted).length
      if (usage.concurrency !== null && usage.running! + started >= usage.concurrency) continue
      if (usage.rateLimit !== null && usage.used! + started >= usage.rateLimit) later.push(usage)
      else if (started === requests.length && (usage.found === null || usage.found > started)) now.push(limitKey)
    }
    if (now.length > 0) await query(this.#jobs.wake, [this.#task, now])
    if (later.length > 0) {
      const columns = [later.map((each) => each.rateLimit), later.map((each) => each.rateMs)]
      await query(this.#jobs.wakeLater, [this.#task, later.map((each) => each.limitKey), this.#model, ...columns])
    }
  }
}

const isUnlimited: LimitedClaim = { row: undefined, waits: false, isUnlimited: true }

const isNotPending: LimitedClaim = { row: undefined, waits: false }

/** Gives the started rows of a key to its requests: to each its own, if it is among them. */
function answersOf({ limit, requests }: KeyClaim, rows: ClaimedKey | undefined): [Request, LimitedClaim][] {
  const started = (rows ?? []).filter(isStarted)
  const waits = rows !== undefined && isFull(rows[0], limit, started.length)
  const own = new Map(started.map((row) => [BigInt(row.id), row]))
  const taken = new Set<StartedRow>()
  const answers = requests.map((request): [Request, StartedRow | undefined] => {
    const row = own.get(request.id)
    own.delete(request.id)
    if (row) taken.add(row)
    return [request, row]
  })
  const rest = started.filter((row) => !taken.has(row))
  return answers.map(([request, row]) => [request, { row: withoutUsage(row ?? rest.shift()), waits }])
}

/** Whether calls that were not started wait for their limit, and not for a lock on their rows. */
function isFull(usage: StartedRow, { isStrict }: Limit, started: number): boolean {
  const { concurrency, running, rateLimit, used, isLocked } = usage
  if (isStrict && !isLocked) return true
  return (
    (concurrency !== null && running! + started >= concurrency) || (rateLimit !== null && used! + started >= rateLimit)
  )
}

function byKey(rows: readonly StartedRow[]): Map<string, ClaimedKey> {
  const keys = new Map<string, ClaimedKey>()
  for (const row of rows) {
    const known = keys.get(row.limitKey)
    if (known) known.push(row)
    else keys.set(row.limitKey, [row])
  }
  return keys
}

function enqueuesNext({ requests }: KeyClaim): boolean {
  return requests.some(({ job }) => job?.enqueuesNext)
}

function isStarted({ id }: StartedRow): boolean {
  return id !== null
}

function withoutUsage(started: StartedRow | undefined): AttemptRow | undefined {
  if (!started) return undefined
  const { limitKey, concurrency, running, rateLimit, used, rateMs, isLocked, found, ...row } = started
  return row
}
