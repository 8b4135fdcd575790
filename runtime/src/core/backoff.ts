/** How long to wait after the n-th failure in a row: 2ⁿ seconds, at most an hour, give or take a fifth. In milliseconds. */
export function backoff(failures: number, random = Math.random): number {
  const seconds = Math.min(2 ** failures, 3600)
  return Math.round(seconds * 1000 * (0.8 + 0.4 * random()))
}

/** The same for statements over many rows: after 1, 2, 3 … failures in a row, in milliseconds. The last is for more, too. */
export function backoffs(): number[] {
  return Array.from({ length: FAILURES_UNTIL_LONGEST }, (_, i) => backoff(i + 1))
}

/** 2¹² seconds are more than an hour. */
const FAILURES_UNTIL_LONGEST = 12
