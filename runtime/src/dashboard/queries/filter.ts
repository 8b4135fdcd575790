import type { AttemptClass } from '../../attempt/attempt.js'
import type { AttemptFilter } from '../../attempt/binding.js'
import { namedCall } from '../../attempt/named-call.js'
import { ATTEMPT_STATUSES, type AttemptStatus, OWN_FIELDS } from '../../attempt/row.js'
import { rowIdIn } from '../../core/row-id.js'
import { timeInput } from '../../core/time-input.js'
import { PageError } from '../page.js'

/** The fields of the filter, as the user has entered them. They are the parameters of the page, too. */
export interface FilterInput {
  status: AttemptStatus | undefined
  /** `OrderClient`, or `OrderClient.fulfill`. */
  call: string
  token: string
  /** The id of a batch. */
  batch: string
  /** The name of a schedule. */
  schedule: string
  argument: string
  error: string
  since: string
  before: string
  /** A field that the host has added to the model, and its value. */
  field: string
  value: string
}

const TEXTS = ['call', 'token', 'batch', 'schedule', 'argument', 'error', 'since', 'before', 'field', 'value'] as const

/** The longest text of a filter, in characters. */
const MAX_TEXT = 1000

/** @throws PageError */
export function filterInput(parameters: URLSearchParams): FilterInput {
  const status = parameters.get('status') || undefined
  if (status !== undefined && !ATTEMPT_STATUSES.some((known) => known === status))
    throw new PageError(400, `There is no such status. It is one of: ${ATTEMPT_STATUSES.join(', ')}.`)
  const texts = TEXTS.map((name) => [name, textOf(parameters, name)])
  return { status: status as AttemptStatus | undefined, ...(Object.fromEntries(texts) as Omit<FilterInput, 'status'>) }
}

/** The parameters of a page with that filter. */
export function filterParameters({ status, ...texts }: FilterInput): Record<string, string | undefined> {
  return { status, ...texts }
}

/** Whether anything but the status is chosen. */
export function isNarrowed(input: FilterInput): boolean {
  return TEXTS.some((name) => input[name] !== '')
}

/** Fields that the host has added to the model. */
export function addedFields({ db, model }: AttemptClass): string[] {
  const names = db.fieldsOf(model).map(({ name }) => name)
  return names.filter((name) => !OWN_FIELDS.some((own) => own === name))
}

/** @throws PageError */
export async function filterOf(
  Attempt: AttemptClass,
  input: FilterInput,
): Promise<AttemptFilter & { status?: AttemptStatus }> {
  const { status, call, token, batch, schedule, argument, error, since, before, field, value } = input
  const hasEnded = status !== undefined && !['pending', 'blocked', 'running'].includes(status)
  const [after, until] = hasEnded
    ? (['endedAfter', 'endedBefore'] as const)
    : (['createdAfter', 'createdBefore'] as const)
  if (field !== '' && !addedFields(Attempt).includes(field)) throw new PageError(400, 'The model has no such field.')
  return {
    ...(status && { status }),
    ...(call !== '' && (await namedCall(Attempt, call))),
    ...(token !== '' && { idempotenceToken: token }),
    ...(batch !== '' && { batch: batchOf(batch) }),
    ...(schedule !== '' && { schedule }),
    ...(argument !== '' && { argument }),
    ...(error !== '' && { error }),
    ...(since !== '' && { [after]: timeOf(since) }),
    ...(before !== '' && { [until]: timeOf(before) }),
    ...(field !== '' && { data: { [field]: value === '' ? null : value } }),
  }
}

function textOf(parameters: URLSearchParams, name: string): string {
  const text = parameters.get(name)?.trim() ?? ''
  if (text.length > MAX_TEXT) throw new PageError(400, `The filter has a text of more than ${MAX_TEXT} characters.`)
  if (text.includes('\0')) throw new PageError(400, 'The filter has a character that no row can have.')
  return text.toWellFormed()
}

function batchOf(text: string): bigint {
  const id = rowIdIn(text)
  if (id !== undefined) return id
  throw new PageError(400, 'A batch is given by its id, a whole number.')
}

function timeOf(text: string) {
  const time = timeInput(text)
  if (time !== undefined) return time
  throw new PageError(
    400,
    'A time is a length of time back from now, such as 30m or 1d, or a time in UTC, such as 2026-11-01T08:30.',
  )
}
