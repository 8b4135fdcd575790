import type { StoredErrorText } from '../../core/error-text.js'
import { SMALLEST_ID } from '../../core/row-id.js'
import type { PageContext } from '../page.js'
import type { Cursor } from '../sql/attempts.js'
import {
  matchingToastsStatement,
  refreshingToastsStatement,
  refreshStatement,
  type ToastWalk,
  toastNamesStatement,
  toastStatement,
  toastsEndStatement,
  toastsOfKeyStatement,
  toastsStatement,
} from '../sql/toasts.js'
import { PAGE } from './attempts.js'

/** What a toast is, as far as its row says. Only a reader knows whether its own record is newer. */
export type ToastState = 'empty' | 'fresh' | 'stale' | 'refreshing' | 'failing'

/** The states that the list can be narrowed to. */
export const LISTED_STATES = ['queued', 'refreshing', 'failing', 'empty'] as const

export type ListedState = (typeof LISTED_STATES)[number]

interface StateColumns {
  cachedAt: Date | null
  /** Seconds. */
  elapsed: number | null
  failures: number
  lockedBy: number | null
  progress: number | null
  expiresAt: Date | null
  /** When the refresh is due; null if none is requested, or the last failure was final. */
  refreshAt: Date | null
  /** The same, with microseconds, or `infinity`. */
  refreshText: string | null
  isInvalidated: boolean
  now: Date
}

export interface ListedToast extends StateColumns {
  id: string
  name: string
  key: string
  valueSize: number | null
  argsText: string | null
  errorName: string | null
  errorMessage: string | null
}

export interface ShownToast extends StateColumns {
  id: string
  name: string
  key: string
  task: string
  version: string | null
  progressMessage: string | null
  valueText: string | null
  valueBytes: number | null
  argsText: string | null
  argsBytes: number | null
  error: StoredErrorText | null
}

/** The toasts of one name. */
export interface ToastName {
  name: string
  count: number
  failing: number
  empty: number
  stale: number
  /** Mean and longest time of a computation, in seconds. */
  elapsed: number | null
  slowest: number | null
  oldest: Date | null
  /** How many toasts of all names were grouped. */
  total: number
}

export interface ToastFilter {
  name: string
  key: string
  state: ListedState | undefined
}

export interface ToastPage {
  rows: ListedToast[]
  next: Cursor | undefined
  /** How many rows were looked at, if the page ended for that reason. */
  searched?: number
}

const WINDOW = 10_000

export function stateOf({ lockedBy, failures, cachedAt, refreshAt, isInvalidated }: StateColumns): ToastState {
  if (lockedBy !== null) return 'refreshing'
  if (failures > 0) return 'failing'
  if (cachedAt === null) return 'empty'
  return refreshAt !== null || isInvalidated ? 'stale' : 'fresh'
}

export async function toastPage(
  { db }: PageContext,
  { name, key, state }: ToastFilter,
  cursor: Cursor | undefined,
): Promise<ToastPage> {
  const named = name === '' ? null : name
  // A key is JSON: that of a text has quotation marks.
  if (key !== '')
    return {
      rows: await db.query<ListedToast>(toastsOfKeyStatement, [[key, JSON.stringify(key)], named, 200]),
      next: undefined,
    }
  if (state === 'refreshing')
    return { rows: await db.query<ListedToast>(refreshingToastsStatement, [500, named]), next: undefined }
  const walk: ToastWalk = state === 'queued' || state === 'failing' ? 'requested' : 'newest'
  const before = [cursor?.id ?? null, cursor?.time ?? null]
  const values = [WINDOW, PAGE + 1, named, state ?? null, ...before]
  const rows = await db.query<ListedToast>(toastsStatement(walk), values)
  if (rows.length > PAGE) return { rows: rows.slice(0, PAGE), next: cursorOf(rows[PAGE - 1]!, walk) }
  if (named === null && state === undefined) return { rows, next: undefined }
  const [last] = await db.query<ListedToast>(toastsEndStatement(walk), [WINDOW, ...before])
  return { rows, next: last && cursorOf(last, walk), ...(last && { searched: WINDOW }) }
}

/** The ids of all toasts that match, in pages. It reads the whole table, in short statements. */
export async function* matchingToasts(
  { db }: PageContext,
  { name, key, state }: ToastFilter,
): AsyncGenerator<string[]> {
  const filter = [key === '' ? null : [key, JSON.stringify(key)], name === '' ? null : name, state ?? null]
  for (let last: string | null = String(SMALLEST_ID); last !== null; ) {
    const values: unknown[] = [WINDOW, last, ...filter]
    const [page]: { last: string | null; ids: string[] | null }[] = await db.query(matchingToastsStatement, values)
    if (page?.ids) yield page.ids
    last = page?.last ?? null
  }
}

/** How many refreshes one statement requests. It locks their rows for some milliseconds. */
const BATCH = 500

/**
 * Requests refreshes.
 * @param add gets how many toasts there were, after each batch
 */
export async function refreshToasts(
  { db }: PageContext,
  ids: readonly string[],
  add: (toasts: number) => void,
): Promise<void> {
  for (let from = 0; from < ids.length; from += BATCH)
    add((await db.query(refreshStatement, [ids.slice(from, from + BATCH)])).length)
}

export async function toastNames({ db, cache }: PageContext): Promise<ToastName[]> {
  return await cache.get('toast names', 5000, () => db.query<ToastName>(toastNamesStatement, []))
}

export async function readToast({ db }: PageContext, id: bigint): Promise<ShownToast | undefined> {
  const [toast] = await db.query<ShownToast>(toastStatement, [id])
  return toast
}

function cursorOf({ id, refreshText }: ListedToast, walk: ToastWalk): Cursor {
  return walk === 'newest' ? { id } : { id, time: refreshText! }
}
