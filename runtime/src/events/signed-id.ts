import { createHmac, timingSafeEqual } from 'node:crypto'
import type { AttemptClass, AttemptRecord } from '../attempt/attempt.js'
import { type Duration, delayMilliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { type ReportClass, type ReportRecord, toastOf } from '../report/report.js'
import type { Toast } from '../toast/types.js'

/** What a signed id names. Ids and keys are text. */
export type EventsSubject =
  | { kind: 'attempt'; model: string; id: string }
  | { kind: 'toast'; name: string; key: string }
  | { kind: 'report'; type: string; id: string; name: string }

export interface SignedIdOptions {
  /** How long the id can be used. Default: 1 day. */
  expiresIn?: Duration
  /** The secret that signs it, of 32 characters or more. Default: the environment variable ASYNC_GEN_SECRET. */
  secret?: string | undefined
}

/** An id that was verified. */
export interface VerifiedId {
  subject: EventsSubject
  /** When the id expires, in milliseconds since 1970. */
  expiresAt: number
}

/** What the options `authorize` may return: whether the request may see the row, or with `decrypt` its encrypted content too. */
export type EventsAccess = boolean | { decrypt?: boolean } | Response

/** An attempt or a report. */
export type SignableRow = AttemptRecord | Pick<ReportRecord, 'id' | 'args'>

/**
 * An id for `asyncEvents` that cannot be guessed or changed. A client that has it may follow this attempt, report or toast until it expires.
 *
 * @throws AsyncGenError NO_SECRET, INVALID_DURATION
 */
export function signedId(row: SignableRow, options?: SignedIdOptions): string
export function signedId<Parent>(
  // biome-ignore lint/suspicious/noExplicitAny: the id depends on the parent alone
  toast: Toast<Parent, any, any, any>,
  parent: Parent,
  options?: SignedIdOptions,
): string
export function signedId(given: object, ...rest: unknown[]): string {
  const [subject, options] =
    typeof given === 'function'
      ? [toastSubject(given as Toast<unknown, unknown>, rest[0]), rest[1]]
      : [rowSubject(given), rest[0]]
  const { expiresIn = '1 day', secret } = (options ?? {}) as SignedIdOptions
  const expiresAt = Date.now() + delayMilliseconds(expiresIn, 'expiresIn')
  const payload = Buffer.from(JSON.stringify([expiresAt, ...partsOf(subject)])).toString('base64url')
  return `${payload}.${signatureOf(payload, secretOf(secret, 'signedId'))}`
}

/** What is wrong with an id: it was not signed with this secret, or it has expired. */
export type InvalidId = 'invalid' | 'expired'

/** Verifies an id of `signedId`. */
export function verifyId(id: string, secret: string): VerifiedId | InvalidId {
  const [payload = '', signature = '', ...more] = id.split('.')
  // Compared as text: a decoder of base64 skips what it does not know, so many texts would be the same signature.
  const given = Buffer.from(signature)
  const expected = Buffer.from(signatureOf(payload, secret))
  if (more.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) return 'invalid'
  const [expiresAt, ...parts] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as [number, ...string[]]
  return expiresAt > Date.now() ? { subject: subjectOf(parts), expiresAt } : 'expired'
}

/** A shorter secret could be guessed from one signed id. */
const SHORTEST_SECRET = 32

/** @throws AsyncGenError NO_SECRET */
export function secretOf(given: string | undefined, owner: string): string {
  const secret = given ?? process.env.ASYNC_GEN_SECRET ?? ''
  if (secret.length >= SHORTEST_SECRET) return secret
  const problem =
    secret === '' ? 'The secret is missing' : `The secret has ${secret.length} characters, and needs ${SHORTEST_SECRET}`
  throw new AsyncGenError(
    'NO_SECRET',
    `${owner}: ${problem}. Set ASYNC_GEN_SECRET, or pass the option \`secret\`: the same one to signedId and to asyncEvents. ` +
      'To create one: openssl rand -base64 32',
  )
}

/** The text before the payload keeps a signature for another purpose from being taken for one of these. */
function signatureOf(payload: string, secret: string): string {
  return createHmac('sha256', secret).update(`async-gen:events:${payload}`).digest('base64url')
}

function rowSubject(row: object): EventsSubject {
  const { id } = row as { id: bigint }
  const Class = row.constructor as AttemptClass | ReportClass
  if ('model' in Class) return { kind: 'attempt', model: Class.model, id: id.toString() }
  return { kind: 'report', type: Class.type, id: id.toString(), name: toastOf(Class).toastName }
}

function toastSubject(toast: Toast<unknown, unknown>, parent: unknown): EventsSubject {
  return { kind: 'toast', name: toast.toastName, key: toast.keyOf(parent) }
}

/** The parts of a subject in an order that `subjectOf` reads. */
function partsOf(subject: EventsSubject): string[] {
  switch (subject.kind) {
    case 'attempt':
      return ['attempt', subject.model, subject.id]
    case 'toast':
      return ['toast', subject.name, subject.key]
    case 'report':
      return ['report', subject.type, subject.id, subject.name]
  }
}

function subjectOf([kind, first, second, third]: string[]): EventsSubject {
  if (kind === 'attempt') return { kind, model: first!, id: second! }
  if (kind === 'toast') return { kind, name: first!, key: second! }
  return { kind: 'report', type: first!, id: second!, name: third! }
}
