/** How long to wait after the n-th failure in a row: 2ⁿ seconds, at most an hour, give or take a fifth. In milliseconds. */
export function backoff(failures: number, random = Math.random): number {
  const seconds = Math.min(2 ** failures, 3600)
  return Math.round(seconds * 1000 * (0.8 + 0.4 * random()))
}
