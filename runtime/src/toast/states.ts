/**
 * Filters for the model `Toast` by state: `prisma.toast.findMany({ where: toastStates.failing })`. A row may match several, because its
 * value and its refresh each have a state.
 */
export const toastStates = {
  /** There is no value yet. */
  empty: { cachedAt: null },
  /** There is a value, stale or not. */
  cached: { cachedAt: { not: null } },
  /** A refresh waits for a worker, or for its next try. */
  queued: { refreshAt: { not: null }, lockedBy: null },
  /** A worker computes the value now. */
  refreshing: { lockedBy: { not: null } },
  /** The last refresh failed. */
  failing: { failures: { gt: 0 } },
} as const
