import type { Database } from '../core/database.js'
import { onCancelled } from '../presence/presence.js'
import type { Call } from './current.js'

/** The calls that this process makes at this moment, by table and id. */
const running = new WeakMap<Database, Map<string, Call>>()

/** Runs a call so that `cancel`, in whatever process, reaches its signal. */
export async function cancellable<Result>(
  db: Database,
  table: string,
  call: Call,
  run: () => Promise<Result>,
): Promise<Result> {
  const calls = callsOf(db)
  const key = keyOf(table, call.attempt.id)
  calls.set(key, call)
  try {
    return await run()
  } finally {
    // It may have been taken away and begun again meanwhile, in this very process.
    if (calls.get(key) === call) calls.delete(key)
  }
}

function callsOf(db: Database): Map<string, Call> {
  let calls = running.get(db)
  if (!calls) {
    const known = new Map<string, Call>()
    onCancelled(db, (attempt) => known.get(attempt)?.cancel())
    running.set(db, known)
    calls = known
  }
  return calls
}

/** The payload of the notice that the cancelling statement sends. */
function keyOf(table: string, id: bigint): string {
  return `${table}/${id}`
}
