import { setTimeout as sleep } from 'node:timers/promises'
import { presenceOf } from '../presence/presence.js'
import type { AttemptRow, Run } from './store.js'
import type { AttemptClass } from './types.js'

export interface Claimed {
  row: AttemptRow
  run: Run
}

/** Pauses for somebody who has locked the row, in milliseconds. If that takes longer, the sweep finds it again. */
const PAUSES = [20, 100, 500]

/** Takes the row for this process and counts the run. */
export async function claim({ db, store }: AttemptClass, id: bigint): Promise<Claimed | undefined> {
  const { id: worker } = await presenceOf(db)
  for (let tries = 0; ; tries++) {
    const row = await store.claim(id, worker)
    if (row) return { row, run: { id, number: row.num_attempts, worker } }
    if (tries === PAUSES.length || !(await store.isDue(id))) return undefined
    await sleep(PAUSES[tries])
  }
}
