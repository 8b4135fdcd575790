import { deletePause, targetLoaders, unmatchedReason } from '../attempt/pause-match.js'
import { describePause, type PauseRow, pausedName, pausesInForce } from '../attempt/pause-store.js'
import type { Database } from '../core/database.js'
import type { Log } from './log.js'

/** Returns a function that logs the pauses that have begun or ended since it was last called; at first, all that are in force. */
export function pauseLog(db: Database, log: Log): () => Promise<void> {
  let known = new Map<string, PauseRow>()
  return async () => {
    const pauses = new Map((await pausesInForce(db)).map((pause) => [describePause(pause), pause]))
    for (const [text, pause] of pauses) {
      if (known.has(text)) continue
      log.message('info', `${text}.`, fieldsOf(pause))
      const reason = unmatchedReason(db, pause, await targetLoaders(db).get(pause.model)?.())
      if (reason === undefined) continue
      const remedy = `To remove it: ${deletePause(pause)}`
      log.message('warning', `The pause of ${pausedName(pause)} matches nothing: ${reason} ${remedy}`, fieldsOf(pause))
    }
    const ended = [...known.values()].filter((pause) => ![...pauses.values()].some((other) => isSame(pause, other)))
    for (const pause of ended) log.message('info', `The pause of ${pausedName(pause)} has ended.`, fieldsOf(pause))
    known = pauses
  }
}

function isSame(one: PauseRow, other: PauseRow): boolean {
  return one.model === other.model && one.target === other.target && one.method === other.method
}

function fieldsOf({ model, target, method }: PauseRow): object {
  return { model, target, method }
}
