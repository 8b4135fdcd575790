import type { Database } from '../core/database.js'
import { onCancelled } from '../presence/presence.js'
import type { RunKey } from './row.js'

/** What the registry needs of a call that runs. */
interface Cancellable {
  cancel(): void
}

interface RunningAttempt {
  /** The number of the run. */
  number: number
  /** The call, once it has begun. */
  call?: Cancellable
}

/**
 * The runs of one table that this process has claimed and not finished. Claims add to it, `cancel` finds the call in it, and the sweep
 * rescues each row that this process has claimed but that is not in it.
 */
export class RunningAttempts {
  readonly #runs = new Map<bigint, RunningAttempt>()

  add({ id, number }: Pick<RunKey, 'id' | 'number'>): void {
    this.#runs.set(id, { number })
  }

  has({ id, number }: Pick<RunKey, 'id' | 'number'>): boolean {
    return this.#runs.get(id)?.number === number
  }

  /** Connects a run with its call, so that `cancel` in any process aborts the signal of the call. */
  begin({ id, number }: RunKey, call: Cancellable): void {
    this.#runs.set(id, { number, call })
  }

  /** Removes a run. A later run of the same row, which this process may have claimed in the meantime, stays. */
  remove(run: Pick<RunKey, 'id' | 'number'>): void {
    if (this.has(run)) this.#runs.delete(run.id)
  }

  cancel(id: bigint): void {
    this.#runs.get(id)?.call?.cancel()
  }

  /** The ids and run numbers, as two parameters of a statement. */
  keys(without?: RunKey): [ids: bigint[], numbers: number[]] {
    const runs = [...this.#runs].filter(([id, { number }]) => id !== without?.id || number !== without.number)
    return [runs.map(([id]) => id), runs.map(([, { number }]) => number)]
  }
}

const registries = new WeakMap<Database, Map<string, RunningAttempts>>()

/** The registry of a table. All classes of attempts on that table share it. */
export function runningAttempts(db: Database, table: string): RunningAttempts {
  let tables = registries.get(db)
  if (!tables) {
    const known = new Map<string, RunningAttempts>()
    onCancelled(db, (table, id) => known.get(table)?.cancel(id))
    registries.set(db, known)
    tables = known
  }
  let running = tables.get(table)
  if (!running) {
    running = new RunningAttempts()
    tables.set(table, running)
  }
  return running
}
