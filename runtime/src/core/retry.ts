import { setTimeout as sleep } from 'node:timers/promises'

/** When to stop trying again. */
export interface RetryLimits {
  /** Whether it can be tried again after this error. */
  mayRepeat(error: unknown): boolean
  /** After how many milliseconds no other try begins. */
  within: number
  /** The longest pause between two tries, in milliseconds. */
  longestPause: number
}

/** Does something, and again after each error that passes, until it succeeds. */
export async function retry<Result>(act: () => Promise<Result>, limits: RetryLimits): Promise<Result> {
  const started = performance.now()
  try {
    return await act()
  } catch (error) {
    return await retryAfter(error, act, limits, started)
  }
}

const FIRST_PAUSE = 20

/** Does again what has failed once, with pauses that grow and vary, so that two that are in each other's way part. */
export async function retryAfter<Result>(
  error: unknown,
  act: () => Promise<Result>,
  { mayRepeat, within, longestPause }: RetryLimits,
  started = performance.now(),
): Promise<Result> {
  let failure = error
  for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, longestPause)) {
    const next = jittered(pause)
    if (performance.now() - started + next > within || !mayRepeat(failure)) throw failure
    await sleep(next)
    try {
      return await act()
    } catch (error) {
      failure = error
    }
  }
}

/** Half of a pause to one and a half of it. */
export function jittered(pause: number, random = Math.random): number {
  return pause * (0.5 + random())
}
