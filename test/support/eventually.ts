import { setTimeout as sleep } from 'node:timers/promises'

/** Asks until the answer is one (neither false, null nor undefined), and returns it; throws after `timeout` milliseconds. */
export async function eventually<T>(what: string, ask: () => Promise<T>, timeout = 120_000): Promise<NonNullable<T>> {
  const started = Date.now()
  while (true) {
    const answer = await ask()
    if (answer !== undefined && answer !== null && answer !== false) return answer
    const elapsed = Date.now() - started
    if (elapsed > timeout) throw new Error(`Waited ${timeout / 1000} s for ${what}, which did not come.`)
    // To ask costs time too, which the processes need that it waits for.
    await sleep(Math.min(Math.max(50, elapsed / 20), 250))
  }
}
