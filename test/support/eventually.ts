import { setTimeout as sleep } from 'node:timers/promises'

/** Asks until the answer is one (neither false, null nor undefined), and returns it; throws after `timeout` milliseconds. */
export async function eventually<T>(what: string, ask: () => Promise<T>, timeout = 120_000): Promise<NonNullable<T>> {
  for (const end = Date.now() + timeout; ; await sleep(50)) {
    const answer = await ask()
    if (answer !== undefined && answer !== null && answer !== false) return answer
    if (Date.now() > end) throw new Error(`Waited ${timeout / 1000} s in vain for ${what}.`)
  }
}
