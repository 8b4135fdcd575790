import { setTimeout as sleep } from 'node:timers/promises'
import { AsyncGenError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import type { BoundClass, BulkOptions, RescheduleOptions } from './binding.js'
import { invalid, rowFilter, timeOf } from './filter.js'
import type { AttemptStatus } from './row.js'
import type { Bulk, BulkOperation } from './sql/bulk.js'
import type { BulkFilter } from './sql/select.js'

/** How many rows one statement changes. It locks them for some milliseconds. */
const BATCH = 500

/** The pause between two batches, in milliseconds, so that workers get their turn. */
const PAUSE_BETWEEN_BATCHES = 5

/** How long it tries again to change rows that other transactions have locked, in milliseconds. */
const LOCKED_TIMEOUT = 10_000

const PAUSE_WHILE_LOCKED = 100

/** Which statuses an operation changes if the filter names none, and which it can change. */
const STATUSES: Record<BulkOperation, { default: AttemptStatus[]; allowed: AttemptStatus[] }> = {
  retry: { default: ['failed'], allowed: ['failed', 'expired', 'cancelled'] },
  cancel: { default: ['pending', 'blocked', 'running'], allowed: ['pending', 'blocked', 'running'] },
  expire: { default: ['pending', 'blocked'], allowed: ['pending', 'blocked'] },
  fail: { default: ['pending', 'blocked'], allowed: ['pending', 'blocked'] },
  reschedule: { default: ['pending', 'blocked'], allowed: ['pending', 'blocked'] },
}

/**
 * Changes all rows that match a filter now, in batches. A row that does not match any more when its batch comes stays as it is. So each
 * row is changed once at most, although workers may end the same rows again meanwhile.
 *
 * @returns how many rows it has changed, or with `dryRun` would change
 */
export async function changeAll(
  Attempt: BoundClass,
  operation: BulkOperation,
  given: object,
  options: BulkOptions | RescheduleOptions,
): Promise<number> {
  const filter = await bulkFilter(Attempt, operation, given)
  const scheduledAt = await newTime(Attempt, operation, checkedOptions(Attempt, operation, options))
  if (options.dryRun) return await Attempt.store.count(filter)

  const { store } = Attempt
  const makesDue = operation === 'retry' || operation === 'reschedule'
  const bulk: Bulk = { operation, filter, scheduledAt, task: makesDue ? await store.taskToAdd() : undefined }
  let changed = 0
  const change = async (batches: readonly string[]) => {
    const locked: string[] = []
    for (const ids of batches) {
      const result = await store.changeBatch(bulk, ids)
      changed += result.changed
      if (result.locked !== '{}') locked.push(result.locked)
      await sleep(PAUSE_BETWEEN_BATCHES)
    }
    return locked
  }

  let locked = await change(await store.idPages(filter, BATCH))
  for (const end = Date.now() + LOCKED_TIMEOUT; locked.length > 0 && Date.now() < end; ) {
    await sleep(PAUSE_WHILE_LOCKED)
    locked = await change(locked)
  }
  if (locked.length > 0) throw rowsLocked(Attempt, operation, changed, locked)
  return changed
}

async function bulkFilter(Attempt: BoundClass, operation: BulkOperation, given: object): Promise<BulkFilter> {
  const what = `${Attempt.name}.${operation}All`
  const filter = await rowFilter(Attempt, given, `${operation}All`)
  // For `where`, a property that is undefined is left out. Here, a variable that is undefined by mistake would change all rows.
  const properties = [...Object.entries(given), ...Object.entries((given as { data?: object }).data ?? {})]
  const missing = properties.find(([, value]) => value === undefined)
  if (missing) {
    throw new AsyncGenError(
      'INVALID_OPTION',
      `${what}: ${missing[0]} in the filter is undefined. Leave it out to change attempts with any value of it.`,
    )
  }
  const { allowed } = STATUSES[operation]
  const statuses = filter.statuses ?? STATUSES[operation].default
  if (!statuses.every((status) => allowed.includes(status)))
    throw invalid(what, 'status', statuses, `one or several of: ${allowed.join(', ')}`)
  return { ...filter, statuses }
}

/** A misspelt `dryRun` that was ignored would change rows. */
function checkedOptions({ name }: BoundClass, operation: BulkOperation, options: BulkOptions | RescheduleOptions) {
  const what = `${name}.${operation}All`
  refuseUnknownOptions(what, options, operation === 'reschedule' ? ['to', 'dryRun'] : ['dryRun'])
  const { dryRun = false }: BulkOptions = options
  if (typeof dryRun !== 'boolean') throw invalid(what, 'dryRun', dryRun, 'true or false')
  return options
}

async function newTime({ db, name }: BoundClass, operation: BulkOperation, options: BulkOptions | RescheduleOptions) {
  if (operation !== 'reschedule') return undefined
  const { to } = options as RescheduleOptions
  return await timeOf(db, to, `${name}.rescheduleAll`, 'to')
}

function rowsLocked({ name }: BoundClass, operation: BulkOperation, changed: number, locked: string[]): AsyncGenError {
  const ids = locked.flatMap((literal) => literal.slice(1, -1).split(','))
  const first = ids.slice(0, 5).join(', ')
  return new AsyncGenError(
    'ROWS_LOCKED',
    `${name}.${operation}All changed ${changed} attempts. Other transactions have locked ${ids.length} more for ` +
      `${LOCKED_TIMEOUT / 1000} seconds: ${first}${ids.length > 5 ? ' …' : ''}. When those have ended, call it again.`,
  )
}
