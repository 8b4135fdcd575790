import type { Database } from '../../core/database.js'
import type { Query } from '../../core/statement.js'
import { canAddJobs } from '../sql/bulk.js'
import type { WindowRate } from './limit.js'
import { type LimitList, startOfKeys } from './list.js'
import { limitJobStatements } from './sql/jobs.js'
import { limitStatements } from './sql/limits.js'

/** New numbers of a limit; null for those in targets.ts. */
export interface LimitChange {
  concurrency?: number | null | undefined
  rate?: WindowRate | null | undefined
}

/** What `setLimit` has changed: null is what `targets.ts` says. */
export interface ChangedLimit {
  /** The name of a limit, or a name and a key. */
  limitKey: string
  concurrency: number | null
  rateLimit: number | null
  rateMs: number | null
}

/** What runs and waits of a key, and of all keys of its limit. */
export interface KeyUsage {
  limitKey: string
  running: number
  waiting: number
  allRunning: number
  allWaiting: number
  /** When the rate allows the next start: ISO 8601 text; null if it does, or if nothing waits for it. */
  nextAt: string | null
}

interface KeyPage {
  keys: string[]
  /** The last key, if there may be more. */
  last: string | null
}

/** How many keys one statement looks at. */
const PAGE = 1000

/** The limits of one model in the database. */
export class LimitStore {
  readonly #db: Database
  readonly #model: string
  readonly #task: string
  readonly #list: () => Promise<LimitList>
  readonly #sql: ReturnType<typeof limitStatements>
  readonly #jobs: ReturnType<typeof limitJobStatements>
  /** Where the next repair goes on: with more keys than a page, each sweep looks at another page. */
  #repairFrom = ''

  /** @param list loads the limits of targets.ts */
  constructor(
    db: Database,
    { model, table, task }: { model: string; table: string; task: string },
    list: () => Promise<LimitList>,
  ) {
    this.#db = db
    this.#list = list
    this.#model = model
    this.#task = task
    this.#sql = limitStatements(table)
    this.#jobs = limitJobStatements(table)
  }

  /** Adds a job for keys that have due calls, room for one of them, and no job for it. Returns how many. */
  async repair(query: Query): Promise<number> {
    // Without its targets a call cannot run, so it needs no limit.
    const limits = (await this.#list().catch(() => undefined))?.all ?? []
    const columns = [
      limits.map(({ name }) => name),
      limits.map(({ limit }) => limit.concurrency ?? null),
      limits.map(({ limit }) => limit.isStrict),
      limits.map(({ limit }) => limit.rate?.per ?? null),
    ]
    const values = [this.#task, this.#repairFrom, this.#model, PAGE, ...columns]
    const [row] = await query<{ enqueued: number; last: string | null }>(this.#jobs.repair, values)
    this.#repairFrom = row?.last ?? ''
    return row?.enqueued ?? 0
  }

  /** What `setLimit` has changed. */
  async changed(): Promise<ChangedLimit[]> {
    return await this.#db.query<ChangedLimit>(this.#sql.changed, [this.#model])
  }

  /** What runs and waits, of at most so many keys of each limit. */
  async usage(keys: number): Promise<KeyUsage[]> {
    return await this.#db.query<KeyUsage>(this.#sql.usage, [this.#model, keys])
  }

  /**
   * Changes the numbers of a limit or of one of its keys, and adds jobs for the calls that may start now.
   * @param change a property that is left out stays as it is; null is the number in targets.ts
   */
  async set(limitKey: string, isKey: boolean, { concurrency, rate }: LimitChange): Promise<void> {
    const numbers = [concurrency !== undefined, concurrency, rate !== undefined, rate?.limit, rate?.per]
    await this.#db.query(this.#sql.set, [this.#model, limitKey, ...numbers.map((each) => each ?? null)])
    await this.#db.query(this.#sql.removeEmpty, [this.#model, limitKey])
    // In statements of their own: a claim that had not read the change has committed its waiting call before.
    const [role] = await this.#db.query<{ allowed: boolean | null }>(canAddJobs, [])
    if (!role?.allowed) return
    if (isKey) await this.#wake([limitKey])
    else for await (const keys of this.#waitingKeys(limitKey)) await this.#wake(keys)
  }

  async #wake(keys: string[]): Promise<void> {
    if (keys.length > 0) await this.#db.query(this.#jobs.wake, [this.#task, keys])
  }

  async *#waitingKeys(name: string): AsyncGenerator<string[]> {
    for (let last: string | null = ''; last !== null; ) {
      const values: unknown[] = [startOfKeys(name), last, null, PAGE]
      const [page]: KeyPage[] = await this.#db.query<KeyPage>(this.#jobs.waitingKeys, values)
      yield page!.keys
      last = page!.last
    }
  }

  /** Deletes what rates do not need any more. */
  async prune(): Promise<void> {
    while ((await this.#db.query(this.#sql.prune, [this.#model, PAGE])).length === PAGE);
  }
}
