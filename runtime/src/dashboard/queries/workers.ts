import type { PageContext } from '../page.js'
import { refreshingToastsStatement } from '../sql/toasts.js'
import { runsStatement, workersStatement } from '../sql/workers.js'
import type { ListedToast } from './toasts.js'

export interface ListedWorker {
  id: number
  host: string
  pid: number
  version: string
  tasks: string[] | null
  startedAt: Date
  endedAt: Date | null
  /** Whether it takes jobs. Other processes, such as a console, run attempts too. */
  isWorker: boolean
  isAlive: boolean
  now: Date
  runs: Run[]
}

/** What a worker runs now. */
export interface Run {
  /** The name of the class of attempts; undefined for a toast. */
  Attempt?: string
  id: string
  worker: number | null
  /** The target and the method, or the toast. */
  name: string
  startedAt: Date | null
  progress: number | null
}

/** The processes of the last hour, with what they run. All tabs of a second share the queries. */
export async function readWorkers({ db, settings, cache }: PageContext): Promise<ListedWorker[]> {
  return await cache.get('listed workers', 1000, async () => {
    const tables = new Map(settings.attempts.map((Attempt) => [Attempt.store.table, Attempt.name]))
    const [workers, toasts, ...attempts] = await Promise.all([
      db.query<Omit<ListedWorker, 'runs'>>(workersStatement, []),
      db.query<ListedToast>(refreshingToastsStatement, [500, null]),
      ...[...tables].map(([table, Attempt]) => runsOf(db, table, Attempt)),
    ])
    const computed = toasts.map(({ id, name, key, lockedBy, progress }): Run => {
      return { id, worker: lockedBy, name: `${name} of ${key}`, startedAt: null, progress }
    })
    const runs = [...attempts.flat(), ...computed]
    return workers.map((worker) => ({ ...worker, runs: runs.filter(({ worker: id }) => id === worker.id) }))
  })
}

async function runsOf(db: PageContext['db'], table: string, Attempt: string): Promise<Run[]> {
  const rows = await db.query<Run & { target: string; method: string }>(runsStatement(table), [])
  return rows.map(({ target, method, ...run }) => ({ ...run, name: `${target}.${method}`, Attempt }))
}
