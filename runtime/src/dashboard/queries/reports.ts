import { SMALLEST_ID } from '../../core/row-id.js'
import { type ReportClass, toastOf } from '../../report/report.js'
import type { PageContext } from '../page.js'
import type { Cursor } from '../sql/attempts.js'
import { reportIdsStatement, reportStatement, reportsEndStatement, reportsStatement } from '../sql/reports.js'
import { PAGE } from './attempts.js'

export interface ListedReport {
  id: string
  type: string
  argsText: string | null
  createdAt: Date
  /** The toast that holds its value; null if nobody has read the report. */
  toastId: string | null
  cachedAt: Date | null
  /** Seconds. */
  elapsed: number | null
  failures: number
  lockedBy: number | null
  progress: number | null
  refreshAt: Date | null
  isInvalidated: boolean
  errorName: string | null
  errorMessage: string | null
}

export type ReportState = 'building' | 'failing' | 'built' | 'stale' | 'not built'

export interface ReportPage {
  rows: ListedReport[]
  next: Cursor | undefined
  searched?: number
}

const WINDOW = 10_000

export function reportState({ lockedBy, failures, cachedAt, refreshAt, isInvalidated }: ListedReport): ReportState {
  if (lockedBy !== null) return 'building'
  if (failures > 0) return 'failing'
  if (cachedAt === null) return 'not built'
  return refreshAt !== null || isInvalidated ? 'stale' : 'built'
}

/** The tables of the reports that the dashboard shows. */
export function reportTables(reports: readonly ReportClass[]): string[] {
  return [...new Set(reports.map(({ store }) => store.table))]
}

/** One report, without its value. */
export interface ShownReport {
  id: string
  argsText: string | null
  argsBytes: number | null
  createdAt: Date
  toastId: string | null
}

export async function readReport(
  { db }: PageContext,
  Report: ReportClass,
  id: bigint,
): Promise<ShownReport | undefined> {
  const values = [id, Report.type, toastOf(Report).toastName]
  const [report] = await db.query<ShownReport>(reportStatement(Report.store.table), values)
  return report
}

/** The newest reports of one table. */
export async function reportPage(
  { db, settings }: PageContext,
  table: string,
  types: readonly ReportClass[],
  cursor: Cursor | undefined,
): Promise<ReportPage> {
  const before = cursor?.id ?? null
  const names = types.map((Report) => toastOf(Report).toastName)
  const values = [WINDOW, PAGE + 1, types.map(({ type }) => type), names, before]
  const rows = await db.query<ListedReport>(reportsStatement(table), values)
  if (rows.length > PAGE) return { rows: rows.slice(0, PAGE), next: { id: rows[PAGE - 1]!.id } }
  const [last] = await db.query<{ id: string }>(reportsEndStatement(table), [WINDOW, before])
  return { rows, next: last, ...(last && settings.reports.length > 0 && { searched: WINDOW }) }
}

/** The ids of all reports of some classes, the oldest first. It reads the whole table, in short statements. */
export async function* reportIds(
  { db }: PageContext,
  table: string,
  classes: readonly ReportClass[],
): AsyncGenerator<{ id: string; type: string }> {
  const types = classes.filter(({ store }) => store.table === table).map(({ type }) => type)
  for (let last = String(SMALLEST_ID); ; ) {
    const rows: { id: string; type: string }[] = await db.query(reportIdsStatement(table), [WINDOW, last])
    yield* rows.filter(({ type }) => types.includes(type))
    if (rows.length < WINDOW) return
    last = rows.at(-1)!.id
  }
}
