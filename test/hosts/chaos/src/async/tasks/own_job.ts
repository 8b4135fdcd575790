import { setTimeout as sleep } from 'node:timers/promises'

/** A task of the host's own, that knows nothing of attempts. */
export default async function ownJob() {
  await sleep(300)
}
