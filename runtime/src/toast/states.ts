/**
 * The rows of the model `Toast` that are in a state, for Prisma's `where`: `prisma.toast.findMany({ where: toastStates.failing })`. One
 * row may be in several: its value and its refresh have a state each.
 */
export const toastStates = {
  /** There is no value yet. */
  empty: { cachedAt: null },
  /** There is a value, stale or not. */
  cached: { cachedAt: { not: null } },
  /** A refresh waits for a worker, or for the time of its next try. */
  queued: { refreshAt: { not: null }, lockedBy: null },
  /** A worker computes at this moment. */
  refreshing: { lockedBy: { not: null } },
  /** The last refresh failed. */
  failing: { failures: { gt: 0 } },
} as const
