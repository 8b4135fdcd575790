import { limitKeyText } from '../../attempt/limits/describe.js'
import { headOf, linesOf, messageOf, type StoredErrorText, usefulLine } from '../../core/error-text.js'
import { toJson } from '../../core/json-text.js'
import { printable } from '../../core/printable.js'
import { timeText as utc } from '../../core/time-text.js'
import { formatSeconds } from '../../worker/log.js'
import type { AttemptFacts, DetailedFacts, ErrorFacts } from './facts.js'

/** The longest text of one field on a terminal, in characters. `--json` prints all of it. */
const MAX_TEXT = 2000

const MAX_CELL = 160

/** How many lines of a message, and of a stack. */
const MAX_LINES = 50

/**
 * The attempts as a table.
 * @param width the longest line, in characters. Default: no limit
 */
export function tableOf(attempts: readonly AttemptFacts[], width = Number.POSITIVE_INFINITY): string[] {
  const rows = attempts.map((attempt) => [
    attempt.id,
    attempt.isPaused ? `${attempt.status} (paused)` : attempt.status,
    timeText(attempt.completedAt ?? attempt.createdAt),
    printable(`${attempt.target}.${attempt.method}`, 60),
    String(attempt.numAttempts),
    lastError(attempt),
  ])
  const table = [['id', 'status', 'ended or recorded', 'call', 'runs', 'last error'], ...rows]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  return table.map((row) => {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
    return line.length > width ? `${line.slice(0, width - 1).toWellFormed()}…` : line
  })
}

function lastError({ errors, encryptor }: AttemptFacts): string {
  const error = errors.at(-1)
  if (!error) return ''
  return error.name === undefined && encryptor !== null
    ? 'encrypted'
    : printable(`${headOf(error)}: ${usefulLine(error)}`, MAX_CELL)
}

/** Everything about one attempt. */
export function sheetOf(attempt: DetailedFacts): string[] {
  const { encryptor, progress, progressMessage, timeoutMs } = attempt
  const sealed = encryptor === null ? undefined : `encrypted (${printable(encryptor)})`
  const time = (text: string | null) => text && timeText(text)
  const fields: [label: string, value: string | number | null | undefined | false][] = [
    ['call', printable(`${attempt.target}.${attempt.method}`)],
    ['arguments', attempt.args === undefined ? sealed : jsonText(attempt.args)],
    ['result', attempt.result === undefined ? attempt.status === 'succeeded' && sealed : jsonText(attempt.result)],
    ['not decrypted', attempt.undecryptable && printable(attempt.undecryptable, MAX_TEXT)],
    ['paused', attempt.isPaused && 'yes: see async-gen-worker attempts pauses'],
    ['blocked', attempt.blockedBy],
    ['runs', `${attempt.numAttempts} of ${attempt.maxAttempts}`],
    ['snoozes', attempt.snoozes > 0 && attempt.snoozes],
    ['progress', progress !== null && `${Math.round(progress * 100)} %`],
    ['', progressMessage && printable(progressMessage, MAX_TEXT)],
    ['recorded', time(attempt.createdAt)],
    ['due', time(attempt.scheduledAt)],
    ['expires', time(attempt.expiresAt)],
    ['last run began', time(attempt.startedAt)],
    ['ended', time(attempt.completedAt)],
    ['worker', attempt.lockedBy],
    ['time limit', timeoutMs !== null && formatSeconds(timeoutMs / 1000)],
    ['priority', attempt.priority],
    ['token', attempt.idempotenceToken && printable(attempt.idempotenceToken, MAX_TEXT)],
    ['parent', attempt.parentId],
    ['children', attempt.children],
    ['batch', attempt.batchId],
    ['schedule', attempt.schedule && printable(attempt.schedule, MAX_TEXT)],
    ['limit', attempt.limitKey && limitKeyText(attempt.limitKey)],
    ['after', attempt.afterIds.length > 0 && afterText(attempt.afterIds)],
    ...Object.entries(attempt.data).map(([field, value]): [string, string] => [printable(field), jsonText(value)]),
  ]
  return [
    `${printable(attempt.type)} ${attempt.id}  ${attempt.status}`,
    ...fields.flatMap(([label, value]) =>
      value === null || value === undefined || value === false || value === '' ? [] : [`  ${label.padEnd(16)}${value}`],
    ),
    ...attempt.errors.flatMap(errorLines),
  ]
}

function afterText(ids: string[]): string {
  return ids.length > 20 ? `${ids.slice(0, 20).join(', ')} and ${ids.length - 20} others` : ids.join(', ')
}

function errorLines(error: ErrorFacts): string[] {
  const { number, at, elapsed, worker } = error
  const by = worker === null || worker === undefined ? '' : `, worker ${worker}`
  const took = typeof elapsed === 'number' ? `, after ${formatSeconds(elapsed)}` : ''
  return ['', `  Run ${number} failed ${timeText(String(at))}${took}${by}`, ...describe(error, '    ')]
}

/** An error with its stack and its causes. A row that was written by hand may hold anything. */
function describe(error: StoredErrorText, indent: string, depth = 0): string[] {
  if (error.name === undefined && error.message === undefined) return [`${indent}encrypted`]
  const frames = typeof error.stack === 'string' ? error.stack.split('\n').filter((line) => /^ +at /.test(line)) : []
  const nested = [
    ...(isObject(error.cause) ? [{ label: 'Cause: ', error: error.cause }] : []),
    ...(Array.isArray(error.errors) ? error.errors.filter(isObject).map((each) => ({ label: '', error: each })) : []),
  ]
  const text = messageOf(error)
  const [first = '', ...more] = linesOf(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text)
  return [
    `${indent}${printable(headOf(error), MAX_CELL)}: ${printable(first)}`,
    ...more.slice(0, MAX_LINES).map((line) => `${indent}  ${printable(line)}`),
    ...frames.slice(0, MAX_LINES).map((line) => `${indent}  ${printable(line.trim(), MAX_CELL)}`),
    ...(depth < 20 ? nested : []).flatMap(({ label, error }) => {
      const [first = '', ...rest] = describe(error, `${indent}  `, depth + 1)
      return [`${indent}  ${label}${first.trimStart()}`, ...rest]
    }),
  ]
}

/** How many attempts, in words. */
export function attemptsOf(count: number): string {
  return count === 1 ? '1 attempt' : `${count} attempts`
}

function isObject(value: unknown): value is StoredErrorText {
  return typeof value === 'object' && value !== null
}

function jsonText(value: unknown): string {
  return printable(toJson(value), MAX_TEXT)
}

function timeText(text: string): string {
  const time = new Date(text)
  return Number.isNaN(time.getTime()) ? printable(text, 40) : utc(time)
}
