import type { AttemptClass, AttemptRecord } from '../attempt/attempt.js'
import { claim } from '../attempt/claim.js'
import { nextOccurrence, recordOccurrences } from '../attempt/schedules/record.js'
import { writeSchedules } from '../attempt/schedules/write.js'
import { AttemptStore } from '../attempt/store.js'
import { classes, rootOf, usedClasses } from '../attempt/subclasses.js'
import type { Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import type { TransactionLike } from '../core/prisma/client.js'
import { sweptTables } from '../core/swept-table.js'
import { refreshDue } from '../toast/refresh.js'
import { toastsOf } from '../toast/registry.js'
import { requireArgument } from './arguments.js'
import { tracked } from './awaited.js'
import { contextsOf, withinOptional } from './database-context.js'
import {
  type CallsOf,
  type DueCall,
  type DueRefresh,
  lastIdOf,
  nextDueCall,
  nextDueRefresh,
  waitForCall,
  waitForRefresh,
} from './due.js'
import { type RunReport, runClaimed } from './run.js'

export interface DrainOptions {
  /** Also runs what is due by then, in its order, as if the time passed: a Date, or a time from now (`'1 day'`). Default: what is due now. */
  until?: Date | Duration
  /** Whether to run calls that calls record. Default: true. */
  recursive?: boolean
  /** Whether to record and run the occurrences of schedules that are due by then. Default: true. */
  schedules?: boolean
  /** After so many runs, drain throws DRAIN_LIMIT. Default: 1,000. */
  limit?: number
  /** An open transaction. Its calls run too, and everything happens in it. */
  tx?: TransactionLike
  /** Whether to throw the first error of a call or of a toast. Default: true. It is recorded in any case. */
  throwErrors?: boolean
  /** Classes of attempts that this process has not used yet. */
  attempts?: readonly AttemptClass[]
}

/** How many runs have ended in which way. */
export interface DrainResult {
  succeeded: number
  /** Runs that ended with an error, of calls and of toasts, whether or not they are tried again. */
  failed: number
  /** Runs that ended with a snooze, or that a hook has postponed. */
  snoozed: number
  cancelled: number
  /** Calls that expired before a run began. */
  expired: number
  /** Rows that were released from workers that are gone. */
  rescued: number
  /** Toasts and reports that were refreshed. */
  refreshed: number
}

/**
 * Runs what is due, in this process and in the order of a worker: calls by priority, time and id, then toasts and reports whose refresh is
 * requested. Calls that are paused stay, and those that have expired expire. Calls that wait for the rate of a limit stay too: with `until`, they
 * run when it allows.
 *
 *     await checkout(order)
 *     await drain(db)
 *     expect(await prisma.shipment.count()).toBe(1)
 *
 * @throws the first error of a call or a toast, with its attempt in `cause`; AsyncGenError DRAIN_LIMIT, ATTEMPT_CLASS_UNKNOWN, UNKNOWN_OPTION, INVALID_OPTION
 */
export async function drain(db: Database, options: DrainOptions = {}): Promise<DrainResult> {
  requireArgument('drain', 'Database', db)
  refuseUnknownOptions('drain', options, OPTIONS)
  const run = () => contextsOf(db).runAhead((advance) => new Drain(db, options).run(advance))
  return await tracked('drain()', () => withinOptional(db, options.tx, run))
}

const OPTIONS = ['until', 'recursive', 'schedules', 'limit', 'tx', 'throwErrors', 'attempts']

const DEFAULT_LIMIT = 1000

/** A due call, and the class that runs it. */
interface NextCall extends DueCall {
  Attempt: AttemptClass
}

class Drain {
  readonly #db: Database
  readonly #options: DrainOptions
  readonly #until: Date | undefined
  readonly #result: DrainResult = {
    succeeded: 0,
    failed: 0,
    snoozed: 0,
    cancelled: 0,
    expired: 0,
    rescued: 0,
    refreshed: 0,
  }
  /** How often each call has run, by target and method. */
  readonly #runs = new Map<string, number>()
  /** Rows that could not be claimed: another transaction has locked them. By table. */
  readonly #locked = new Map<string, bigint[]>()
  readonly #lastIds = new Map<string, bigint>()
  /** Keys of limits that have no room, until the next run ends or the clock moves. */
  readonly #fullKeys = new Set<string>()

  constructor(db: Database, options: DrainOptions) {
    this.#db = db
    this.#options = options
    const { until } = options
    this.#until =
      until === undefined || until instanceof Date ? until : new Date(db.now() + milliseconds(until, 'until'))
  }

  /** @param advance moves the clock by so many milliseconds */
  async run(advance: (by: number) => void): Promise<DrainResult> {
    const { recursive = true } = this.#options
    for (const table of sweptTables(this.#db)) {
      this.#result.rescued += await table.rescue()
      if (!recursive && table instanceof AttemptStore)
        this.#lastIds.set(table.table, await lastIdOf(this.#db, table.table))
    }
    if (this.#hasSchedules) await writeSchedules(this.#db)
    for (let isLastLook = false; ; ) {
      await this.#expire()
      if (this.#hasSchedules) await recordOccurrences(this.#db)
      const call = await this.#nextCall()
      const refresh = call ? undefined : await nextDueRefresh(this.#db, this.#toasts, this.#lockedIn('toasts'))
      if (call) isLastLook = (await this.#runCall(call)) ? false : isLastLook
      else if (refresh) await this.#refresh(refresh)
      else {
        const wait = await this.#nextWait()
        // A call of a full key may have become due since its key was looked at.
        if (wait === undefined && (this.#fullKeys.size === 0 || isLastLook)) break
        isLastLook = wait === undefined
        this.#fullKeys.clear()
        advance(wait ?? 0)
      }
    }
    advance(Math.max(0, (this.#until?.getTime() ?? 0) - this.#db.now()))
    await this.#expire()
    return this.#result
  }

  get #hasSchedules(): boolean {
    return this.#options.schedules ?? true
  }

  get #stores(): AttemptStore[] {
    return [...sweptTables(this.#db)].filter((table) => table instanceof AttemptStore)
  }

  /** The names of the toasts that this process has defined. */
  get #toasts(): string[] {
    return [...toastsOf(this.#db).definitions.keys()]
  }

  #lockedIn(table: string): bigint[] {
    const ids = this.#locked.get(table) ?? []
    this.#locked.set(table, ids)
    return ids
  }

  #callsOf({ table, model }: AttemptStore): CallsOf {
    const lastId = this.#lastIds.get(table) ?? null
    return { table, model, without: this.#lockedIn(table), fullKeys: [...this.#fullKeys], lastId }
  }

  async #expire(): Promise<void> {
    for (const table of sweptTables(this.#db)) this.#result.expired += (await table.expire?.()) ?? 0
  }

  async #nextCall(): Promise<NextCall | undefined> {
    const due: NextCall[] = []
    for (const store of this.#stores) {
      const call = await nextDueCall(this.#db, this.#callsOf(store))
      if (call) due.push({ ...call, Attempt: this.#classOf(store) })
    }
    return due.sort((a, b) => a.priority - b.priority || a.scheduledAt.getTime() - b.scheduledAt.getTime())[0]
  }

  /** The class of a table's model that was used last. */
  #classOf({ table }: AttemptStore): AttemptClass {
    const known = this.#classes.map(rootOf).findLast(({ store }) => store.table === table)
    if (known) return known
    throw new AsyncGenError(
      'ATTEMPT_CLASS_UNKNOWN',
      `Calls of the table ${table} are due, and this process has not used its class yet. Pass it: drain(db, { attempts: [Attempt] }).`,
    )
  }

  get #classes(): AttemptClass[] {
    return [...(usedClasses(this.#db) as Set<AttemptClass>), ...(this.#options.attempts ?? [])]
  }

  /** Returns whether a call has run. */
  async #runCall({ Attempt, id }: NextCall): Promise<boolean> {
    const classOf = await classes(Attempt, this.#classes)
    // As a job does, it runs the next call of a key, which may be another one.
    const { claimed, waits } = await claim(Attempt, id, { enqueuesNext: false })
    const limitKey = waits && (await Attempt.store.find(id))?.limit_key
    if (limitKey) this.#fullKeys.add(limitKey)
    else if (!claimed) this.#lockedIn(Attempt.store.table).push(id)
    if (!claimed) return false
    const attempt: AttemptRecord = new (classOf(claimed.row))(claimed.row)
    this.#count(`${attempt.target}.${attempt.method}`, attempt.schedule)
    const report = await runClaimed(attempt, claimed)
    this.#fullKeys.clear()
    this.#result[outcomeOf(attempt, report)]++
    this.#throw(report.error, `${Attempt.name} ${attempt.id} (${attempt.target}.${attempt.method})`)
    return true
  }

  async #refresh({ id, name, key }: DueRefresh): Promise<void> {
    this.#count(name)
    const result = await refreshDue(this.#db, { name, key })
    if (result.outcome === 'refreshed' || result.outcome === 'parent gone') this.#result.refreshed++
    else if (result.outcome === 'nothing to do') this.#lockedIn('toasts').push(id)
    else if (result.outcome === 'failed') {
      this.#result.failed++
      this.#throw({ thrown: result.error }, `the toast ${name} of ${key}`)
    }
  }

  #throw(error: RunReport['error'], origin: string): void {
    if (!error || !(this.#options.throwErrors ?? true)) return
    addOrigin(error.thrown, origin)
    throw error.thrown
  }

  /** Counts a run. */
  #count(name: string, schedule: string | null = null): void {
    const { limit = DEFAULT_LIMIT } = this.#options
    const total = [...this.#runs.values()].reduce((sum, runs) => sum + runs, 0)
    if (total < limit) {
      this.#runs.set(name, (this.#runs.get(name) ?? 0) + 1)
      return
    }
    const leaveOut = schedule === null ? '' : ' To leave out schedules: drain(db, { schedules: false }).'
    const [[most, runs] = [name, 0]] = [...this.#runs].sort(([, a], [, b]) => b - a)
    throw new AsyncGenError(
      'DRAIN_LIMIT',
      `drain() has run ${total} calls, and more are due. ${most} ran ${runs} times: does it record itself again? ` +
        `If so many calls are right, raise the limit: drain(db, { limit }).${leaveOut}`,
    )
  }

  /** How many milliseconds from now the next call or refresh is due, if one is until the end. */
  async #nextWait(): Promise<number | undefined> {
    const until = this.#until
    if (!until) return undefined
    const waits = [await waitForRefresh(this.#db, this.#toasts, this.#lockedIn('toasts'), until)]
    for (const store of this.#stores) waits.push(await waitForCall(this.#db, this.#callsOf(store), until))
    const { wait } = this.#hasSchedules ? await nextOccurrence(this.#db) : { wait: undefined }
    if (wait !== undefined && wait <= until.getTime() - this.#db.now()) waits.push(Math.max(1, wait))
    const known = waits.filter((wait) => wait !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }
}

/** What an error of `drain` came from, as the cause of the error: test runners print it. */
class DrainStopped extends Error {
  override readonly name = 'DrainStopped'
}

function addOrigin(thrown: unknown, origin: string): void {
  let error = thrown
  while (error instanceof Error && error.cause instanceof Error && !(error.cause instanceof DrainStopped)) {
    error = error.cause
  }
  if (!(error instanceof Error && (error.cause === undefined || error.cause instanceof DrainStopped))) return
  const value = new DrainStopped(`drain() stopped at ${origin}. With { throwErrors: false } it goes on.`)
  // Returns false for a frozen error, which stays as it is.
  Reflect.defineProperty(error, 'cause', { value, configurable: true, writable: true })
}

function outcomeOf(attempt: AttemptRecord, { error }: RunReport): keyof DrainResult {
  if (attempt.isSucceeded) return 'succeeded'
  if (error || attempt.isFailed) return 'failed'
  if (attempt.isCancelled) return 'cancelled'
  if (attempt.isExpired) return 'expired'
  return 'snoozed'
}
