import { setTimeout as sleep } from 'node:timers/promises'

export interface RetryOptions {
  /** Whether to try again after this error. */
  shouldRetry(error: unknown): boolean
  /** After this many milliseconds, no other try begins. */
  timeout: number
  /** The longest pause between two tries, in milliseconds. */
  longestPause: number
}

/**
 * Calls a function until it succeeds.
 * @throws the last error, after `timeout` or where `shouldRetry` returns false
 */
export async function retry<Result>(act: () => Promise<Result>, options: RetryOptions): Promise<Result> {
  const started = performance.now()
  try {
    return await act()
  } catch (error) {
    return await retryAfter(error, act, options, started)
  }
}

/** Milliseconds. Later pauses are longer, up to `longestPause`. */
const FIRST_PAUSE = 20

/** Continues after a first call that has failed. The pauses grow and vary, so that two processes in conflict do not meet again. */
export async function retryAfter<Result>(
  error: unknown,
  act: () => Promise<Result>,
  { shouldRetry, timeout, longestPause }: RetryOptions,
  started = performance.now(),
): Promise<Result> {
  let lastError = error
  for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, longestPause)) {
    const next = jittered(pause)
    if (performance.now() - started + next > timeout || !shouldRetry(lastError)) throw lastError
    await sleep(next)
    try {
      return await act()
    } catch (error) {
      lastError = error
    }
  }
}

/** A random pause between 0.5 and 1.5 times the given one. */
export function jittered(pause: number, random = Math.random): number {
  return pause * (0.5 + random())
}
