import { printable } from '../../core/printable.js'
import type { AttemptFields } from '../fields.js'
import type { AttemptStore } from '../store.js'

/** How many attempts the reason names. */
const NAMED = 3

/** What a blocked attempt waits for: `it waits for attempt 12 (Bank.charge), which is running`. */
export async function reasonOfBlock({ id, batchId, afterIds }: AttemptFields, store: AttemptStore): Promise<string> {
  if (afterIds.length === 0) return batchId === null ? 'it is blocked' : `it waits for the end of batch ${batchId}`
  const awaited = await store.dependencies.waitsFor(id)
  if (awaited.length === 0) return 'it was blocked, and waits for nothing any more'
  const names = awaited
    .slice(0, NAMED)
    .map((each) => `attempt ${each.id} (${printable(`${each.target}.${each.method}`, 100)}), which is ${each.status}`)
  return `it waits for ${names.join('; for ')}${awaited.length > NAMED ? '; and for others' : ''}`
}
