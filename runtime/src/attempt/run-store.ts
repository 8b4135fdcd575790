import type { Database } from '../core/database.js'
import type { TransactionLike } from '../core/prisma/client.js'
import type { Query } from '../core/statement.js'
import { hasNotCommitted, isTransient } from '../core/transient-errors.js'
import { presenceOf } from '../presence/presence.js'
import { microbatch } from './batch.js'
import { type ClaimOptions, LimitedClaims } from './limits/limited-claims.js'
import type { AttemptRow, AttemptStatus, NewStoredError, RunKey } from './row.js'
import { type RunningAttempts, runningAttempts } from './running.js'
import { runStatements } from './sql/runs.js'

/** A request is batched only with those that run in the same place: a test may run some in a transaction. */
interface BatchedRequest {
  query: Query
}

interface ClaimRequest extends BatchedRequest {
  id: bigint
  worker: number
  /** The methods that have a limit per key, whose calls are left out. */
  limited: string[]
}

/** The answer to a claim: the run; or, without a run, whether the call waits for its limit. */
export interface Claim {
  claimed: ClaimedRun | undefined
  waits: boolean
}

/** A run that this process has claimed, and its row. */
export interface ClaimedRun {
  row: AttemptRow
  run: RunKey
}

interface SuccessRequest extends BatchedRequest {
  run: RunKey
  /** JSON text, encrypted if the row is. */
  result: string
}

/** How a call ends its run: with a result (JSON text, encrypted if the row is), or with a snooze. */
export type RunEnd = { result: string } | RunSnooze

interface RunSnooze {
  /** Milliseconds until the next run. */
  delay: number
  /** How many snoozes the row counts with this one. */
  snoozes: number
}

/** How a run fails. */
export interface RunFailure {
  /** Milliseconds until the next run; null if there is none. */
  retryAfter: number | null
  error?: NewStoredError
}

/** How a hook ends a run. */
export interface RunDecision extends RunFailure {
  status: AttemptStatus
}

/** How many rows one statement of the sweep rescues. */
const PAGE = 1000

/** For how long a run stays uncertain, in milliseconds: longer than any transaction that may still commit it. */
const UNCERTAIN_FOR = 3_600_000

/** Claims the runs of one table and ends them. Each change is a compare-and-set on the worker and, except for `release`, on the run number. */
export class RunStore {
  readonly running: RunningAttempts
  readonly #db: Database
  readonly #model: string
  readonly #sql: ReturnType<typeof runStatements>
  /**
   * Rows that this process may have claimed, or runs of it that may have ended: the database's answer was lost. By id, with the time
   * since when, in milliseconds. The sweep releases those that nobody runs.
   */
  readonly #uncertain = new Map<bigint, number>()
  readonly #limited: LimitedClaims
  readonly #claim: (request: ClaimRequest) => Promise<{ claimed: ClaimedRun | undefined }>
  readonly #succeed: (request: SuccessRequest) => Promise<boolean>

  constructor(db: Database, model: string, table: string, task: string) {
    this.#db = db
    this.#model = model
    this.#sql = runStatements(table)
    this.#limited = new LimitedClaims(db, { model, table, task }, (id) => this.releaseLater({ id }))
    this.running = runningAttempts(db, table)
    this.#claim = microbatch({
      together: (requests) => this.#claimTogether(requests),
      alone: async (request) => (await this.#claimTogether([request]))[0]!,
    })
    this.#succeed = microbatch({
      together: (requests) => this.#succeedTogether(requests),
      alone: (request) => this.#succeedAlone(request),
    })
  }

  /**
   * Claims a row that is pending, due, not expired, not paused and not locked, and counts the run. It commits at once, so that a run whose process dies counts.
   * A call that has a limit gets a run only if its key has room. A job then runs the next call of the key.
   */
  async claim(id: bigint, worker: number, { limits, job }: ClaimOptions = {}): Promise<Claim> {
    const claimPlain = async (limited: string[]) =>
      (await this.#claim({ id, worker, limited, query: this.#db.query })).claimed
    const limited = limits?.list.paths ?? []
    if (!limits || limited.length === 0) return { claimed: await claimPlain([]), waits: false }
    const hasKey = job?.limitKey !== undefined && limits.list.ofKey(job.limitKey) !== undefined
    const plain = hasKey ? undefined : await claimPlain(limited)
    if (plain) return { claimed: plain, waits: false }
    const { row, waits, isUnlimited } = await this.#limited.claim(id, worker, limits, job)
    if (isUnlimited) return { claimed: await claimPlain([]), waits: false }
    return { claimed: row && this.#add(row, worker), waits }
  }

  /** Whether a run of a row may begin. If the row still could not be claimed, it is locked. */
  async isStartable(id: bigint): Promise<boolean> {
    return (await this.#db.query(this.#sql.isStartable, [id, this.#model])).length === 1
  }

  /** Ends a run as its call does. Returns false if the run was superseded. */
  async end(run: RunKey, end: RunEnd): Promise<boolean> {
    const { query } = this.#db
    return 'result' in end
      ? await this.#succeed({ run, result: end.result, query })
      : await this.#snooze(query, run, end)
  }

  /** The same, as the last statement of the call's own transaction. */
  async endWithin(tx: TransactionLike, run: RunKey, end: RunEnd): Promise<boolean> {
    const query = this.#db.within(tx)
    return 'result' in end
      ? await this.#succeedAlone({ run, result: end.result, query })
      : await this.#snooze(query, run, end)
  }

  /**
   * Whether a run has ended so. Waits for a COMMIT whose answer was lost.
   * @throws if a transaction locks the row for longer than a few seconds
   */
  async hasEnded({ id, number }: RunKey, end: RunEnd): Promise<boolean> {
    return await this.#db.transaction(async (query) => {
      const [row] = await query<{ succeeded: boolean; snoozes: number }>(this.#sql.hasEnded, [id, number])
      return 'result' in end ? (row?.succeeded ?? false) : (row?.snoozes ?? 0) >= end.snoozes
    })
  }

  /** Whether the call itself has set its row to something else than running, in its own transaction. */
  async wasChangedWithin(tx: TransactionLike, { id }: RunKey): Promise<boolean> {
    return (await this.#db.within(tx)(this.#sql.wasChangedWithin, [id])).length === 1
  }

  /** Whether a run goes on: no other statement has ended it. */
  async isRunning({ id, number, worker }: RunKey): Promise<boolean> {
    const rows = await this.#db.query<AttemptRow>(this.#sql.claimed, [[id], worker])
    return rows.some(({ num_attempts }) => num_attempts === number)
  }

  /** Stores what the call of a run has reported. It changes nothing if the run was superseded, or if its row is locked. */
  async storeProgress({ id, number, worker }: RunKey, done: number, message: string | null): Promise<void> {
    await this.#db.query(this.#sql.storeProgress, [id, number, worker, done, message])
  }

  /** Ends a run with an error. Returns undefined if the run was superseded. */
  async fail(run: RunKey, { retryAfter, error }: RunFailure): Promise<AttemptRow | undefined> {
    const values = [run.id, run.number, run.worker, error ? JSON.stringify(error) : null, retryAfter]
    const [row] = await this.#db.query<AttemptRow>(this.#sql.fail, values)
    return row
  }

  /** Ends a run as a hook has decided. Returns undefined if the run was superseded. */
  async endRun(run: RunKey, { status, retryAfter, error }: RunDecision): Promise<AttemptRow | undefined> {
    const values = [run.id, run.number, run.worker, error ? JSON.stringify(error) : null, status, retryAfter]
    const [row] = await this.#db.query<AttemptRow>(this.#sql.endRun, values)
    return row
  }

  /** Sets a run back to pending without counting it. The next run may begin after `delay` milliseconds. */
  async release(run: RunKey, delay: number): Promise<void> {
    const others = this.running.keys(run)
    const released = await this.#release([run.id], run.worker, delay, others).catch(() => 0)
    if (released === 0) this.releaseLater(run)
  }

  /** Has the sweep release a run of which nobody knows whether it has ended. */
  releaseLater({ id }: Pick<RunKey, 'id'>): void {
    this.#uncertain.set(id, Date.now())
  }

  /** Takes runs back from dead workers, and those of this process that it is not running. Returns how many. */
  async rescue(query: Query): Promise<number> {
    const { id: worker } = await presenceOf(this.#db)
    const running = this.running.keys()
    await this.#releaseUncertain(worker, query)
    let total = 0
    for (let rescued = PAGE; rescued === PAGE; total += rescued) {
      rescued = (await query(this.#sql.rescue, [worker, ...running, PAGE])).length
    }
    return total
  }

  async #claimTogether(
    requests: readonly ClaimRequest[],
  ): Promise<({ claimed: ClaimedRun | undefined } | undefined)[]> {
    const { worker, query, limited } = requests[0]!
    const isOfBatch = (request: ClaimRequest) => request.query === query && request.limited.length === limited.length
    const ids = requests.filter(isOfBatch).map(({ id }) => id)
    const claiming =
      limited.length === 0
        ? query<AttemptRow>(this.#sql.claim, [ids, worker, this.#model])
        : query<AttemptRow>(this.#sql.claimUnlimited, [ids, worker, this.#model, limited])
    const rows = await claiming.catch((error) => {
      if (hasNotCommitted(error) || !isTransient(error)) throw error
      return this.#claimedWithoutAnswer(ids, worker)
    })
    const claims = rows.flatMap((row) => this.#add(row, worker) ?? [])
    const runs = new Map(claims.map((claimed) => [claimed.run.id, claimed]))
    return requests.map((request) => {
      if (!isOfBatch(request)) return undefined
      const { id } = request
      const claimed = runs.get(id)
      // Two requests of one batch may name the same row. Only the first gets it.
      runs.delete(id)
      return { claimed }
    })
  }

  /** Lists a claimed row as running. A claim may have failed the row instead. */
  #add(row: AttemptRow, worker: number): ClaimedRun | undefined {
    if (row.status !== 'running') return undefined
    const run = { id: BigInt(row.id), number: row.num_attempts, worker, batchId: row.batch_id }
    this.running.add(run)
    return { row, run }
  }

  /** The rows that a claim took although its answer was lost. If the claim commits only now, the sweep releases its rows. */
  async #claimedWithoutAnswer(ids: bigint[], worker: number): Promise<AttemptRow[]> {
    for (const id of ids) this.#uncertain.set(id, Date.now())
    const rows = await this.#db.query<AttemptRow>(this.#sql.claimed, [ids, worker])
    return rows.filter(({ id, num_attempts }) => !this.running.has(BigInt(id), num_attempts))
  }

  async #release(
    ids: bigint[],
    worker: number,
    delay: number,
    running: [ids: bigint[], numbers: number[]],
    query: Query = this.#db.query,
  ): Promise<number> {
    return (await query(this.#sql.release, [ids, worker, delay, ...running])).length
  }

  async #releaseUncertain(worker: number, query: Query): Promise<void> {
    if (this.#uncertain.size === 0) return
    await this.#release([...this.#uncertain.keys()], worker, 0, this.running.keys(), query)
    for (const [id, since] of this.#uncertain) if (Date.now() - since > UNCERTAIN_FOR) this.#uncertain.delete(id)
  }

  async #succeedTogether(requests: readonly SuccessRequest[]): Promise<(true | undefined)[]> {
    const { query } = requests[0]!
    const isTogether = endsTogether(requests)
    const together = requests.filter(isTogether)
    const ended = await query<{ id: string }>(this.#sql.succeedTogether, [
      together.map(({ run }) => run.id),
      together.map(({ run }) => run.number),
      together.map(({ run }) => run.worker),
      together.map(({ result }) => result),
    ])
    const ids = new Set(ended.map(({ id }) => BigInt(id)))
    return requests.map((request) => (isTogether(request) && ids.has(request.run.id)) || undefined)
  }

  async #snooze(query: Query, { id, number, worker }: RunKey, { delay, snoozes }: RunSnooze): Promise<boolean> {
    return (await query(this.#sql.snooze, [id.toString(), number, worker, delay, snoozes])).length === 1
  }

  async #succeedAlone({ run, result, query }: SuccessRequest): Promise<boolean> {
    const values = [run.id.toString(), run.number, run.worker, result]
    return (await query(this.#sql.succeed, values)).length === 1
  }
}

/** Whether one statement may end a run: it runs where the first one does, and belongs to no batch, or to the first batch among them. */
function endsTogether(requests: readonly SuccessRequest[]): (request: SuccessRequest) => boolean {
  const [{ query }] = requests as [SuccessRequest]
  const batch = requests.find(({ run }) => run.batchId !== null)?.run.batchId
  return ({ run, query: own }) => own === query && (run.batchId === null || run.batchId === batch)
}
