import { type PauseRow, pausesInForce } from '../../attempt/pause-store.js'
import type { PageContext } from '../page.js'

/** The pauses in force. All pages of a second share one query. */
export async function currentPauses({ db, cache }: PageContext): Promise<PauseRow[]> {
  return await cache.get('pauses', 1000, () => pausesInForce(db))
}
