/** The delay after the n-th failure in a row, in milliseconds: 2ⁿ seconds, at most an hour, varied by up to 20 % either way. */
export function backoff(failures: number, random = Math.random): number {
  const seconds = Math.min(2 ** failures, 3600)
  return Math.round(seconds * 1000 * (0.8 + 0.4 * random()))
}

/** The delays after 1, 2, 3 … failures in a row, in milliseconds, for statements over many rows. The last is also for more failures. */
export function backoffs(): number[] {
  return Array.from({ length: FAILURES_UNTIL_LONGEST }, (_, i) => backoff(i + 1))
}

/** 2¹² seconds are more than an hour. */
const FAILURES_UNTIL_LONGEST = 12
