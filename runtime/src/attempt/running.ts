import type { Database } from '../core/database.js'
import { onCancelled } from '../presence/presence.js'
import type { RunKey } from './row.js'

/** What the registry needs of a call that runs. */
interface Cancellable {
  cancel(): void
}

interface RunningAttempt {
  /** The key that the claim made. Numbers can return after a release, so runs are compared by this object. */
  run: RunKey
  /** The call, once it has begun. */
  call?: Cancellable
}

/**
 * The runs of one table that this process has claimed and not finished. Claims add to it, `cancel` finds the call in it, and the sweep
 * rescues each row that this process has claimed but that is not in it.
 */
export class RunningAttempts {
  readonly #runs = new Map<bigint, RunningAttempt>()

  add(run: RunKey): void {
    this.#runs.set(run.id, { run })
  }

  /** Whether this process runs a row, in that run. */
  has(id: bigint, number: number): boolean {
    return this.#runs.get(id)?.run.number === number
  }

  /** Connects a run with its call, so that `cancel` in any process aborts the signal of the call. */
  begin(run: RunKey, call: Cancellable): void {
    const entry = this.#runs.get(run.id)
    if (entry?.run === run) entry.call = call
  }

  /** Removes a run. A later run of the same row, which this process may have claimed in the meantime, stays. */
  remove(run: RunKey): void {
    if (this.#runs.get(run.id)?.run === run) this.#runs.delete(run.id)
  }

  cancel(id: bigint): void {
    this.#runs.get(id)?.call?.cancel()
  }

  /** The ids and run numbers, as two parameters of a statement. */
  keys(without?: RunKey): [ids: bigint[], numbers: number[]] {
    const runs = [...this.#runs.values()].map(({ run }) => run).filter((run) => run !== without)
    return [runs.map(({ id }) => id), runs.map(({ number }) => number)]
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
