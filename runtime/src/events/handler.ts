import type { AttemptClass } from '../attempt/attempt.js'
import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import { isResponse, isRights } from '../core/response.js'
import { type EventsAccess, type EventsSubject, secretOf, type VerifiedId, verifyId } from './signed-id.js'
import {
  attemptState,
  GONE,
  jsonOfState,
  type LiveAttempt,
  type LiveState,
  type LiveToast,
  NOT_REQUESTED,
  toastState,
} from './state.js'
import { eventStream, hasReceivedLast, type LiveEvent, type OpenStreams, RETRY_FIELD } from './stream.js'
import { attemptsTable, toastsTable } from './tables.js'
import { type ChangedRow, NO_ROW, watchedRowsOf } from './watched-rows.js'

export interface AsyncEventsOptions {
  /**
   * Whether a request may follow what its id names: ask your session. With `{ decrypt: true }`, encrypted results and errors are sent too.
   * A Response is sent as it is, such as a redirect.
   */
  authorize: (request: Request, subject: EventsSubject) => EventsAccess | Promise<EventsAccess>
  /** Each class whose attempts you sign with `signedId`. Default: none. Toasts and reports need no class. */
  attempts?: readonly AttemptClass[]
  /** The secret of `signedId`. Default: the environment variable ASYNC_GEN_SECRET. */
  secret?: string | undefined
}

const OPTIONS = ['authorize', 'attempts', 'secret']

/** What `asyncEvents` returns: a fetch handler. */
export interface EventsHandler {
  (request: Request): Promise<Response>
  /**
   * Ends all open streams, and answers new requests with one that ends at once. Call it before you close the server, which would wait for
   * the streams. Browsers connect again two seconds later. `db.close()` ends the open streams too.
   */
  close(): void
}

/**
 * Server-sent events about one attempt, toast or report: `GET …?id=<signedId(attempt)>`. The first event comes at once, the others when the
 * state changes, and the stream ends with what it follows. The data of each event is a `LiveState`.
 *
 * @throws AsyncGenError NOT_AUTHORIZED, NO_SECRET, UNKNOWN_OPTION
 */
export function asyncEvents(db: Database, options: AsyncEventsOptions): EventsHandler {
  refuseUnknownOptions('asyncEvents', options, OPTIONS)
  const { authorize, attempts = [] } = options
  if (typeof authorize !== 'function')
    throw new AsyncGenError(
      'NOT_AUTHORIZED',
      'asyncEvents needs the option `authorize`: a function that returns whether a request may follow what its id names.',
    )
  const secret = secretOf(options.secret, 'asyncEvents')
  const classes = new Map(attempts.map((Attempt) => [Attempt.model, Attempt]))
  const [closed, decrypted] = [new WeakMap<ChangedRow, LiveEvent>(), new WeakMap<ChangedRow, LiveEvent>()]
  const streams: OpenStreams = { ends: new Set(), isClosed: false }
  const endAll = () => {
    for (const end of streams.ends) end()
  }
  db.onClose(endAll)

  const handler = async (request: Request): Promise<Response> => {
    if (request.method !== 'GET') return refusal(405, 'Only GET is answered here.', { allow: 'GET' })
    if (streams.isClosed) return endedStream()
    const verified = verifiedId(request, secret)
    if (isResponse(verified)) return verified
    const { subject, expiresAt } = verified
    const access = await authorize(request, subject)
    if (isResponse(access)) return access
    if (access !== true && !isRights(access)) return refusal(403, 'This request may not follow what the id names.')
    const lastEventId = request.headers.get('last-event-id')
    // A browser does not connect again after this status.
    if (hasReceivedLast(lastEventId)) return new Response(null, { status: 204 })

    const decrypt = typeof access === 'object' && access.decrypt === true
    const made = decrypt ? decrypted : closed
    const follow = followerOf(db, classes, subject, { decrypt, lastVersion: lastEventId, made })
    if (!follow) return notListed(subject)
    return new Response(eventStream({ follow, expiresAt, signal: request.signal, streams }), { headers: HEADERS })
  }
  const close = () => {
    streams.isClosed = true
    endAll()
  }
  return Object.assign(handler, { close })
}

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // `no-transform` keeps middleware from compressing the stream, which would hold events back.
  'cache-control': 'no-store, no-transform',
  // nginx would hold them back too.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
}

/** The id of a request, or the response that refuses it. */
function verifiedId(request: Request, secret: string): VerifiedId | Response {
  const id = new URL(request.url).searchParams.get('id')
  if (!id) return refusal(400, 'The parameter id is missing. It is what signedId returns: ?id=…')
  const verified = verifyId(id, secret)
  if (verified === 'invalid') return refusal(403, 'The id was not signed with the secret of this server.')
  if (verified === 'expired') return refusal(410, 'The id has expired. Load the page again.')
  return verified
}

/** A browser connects again after it, which it does not do after a status of an error. The connection must not stay open for that. */
function endedStream(): Response {
  return new Response(RETRY_FIELD, { headers: { ...HEADERS, connection: 'close' } })
}

/** The response to an id of attempts that the server does not follow. That is a mistake of the server, not of the client. */
function notListed(subject: EventsSubject): Response {
  const model = subject.kind === 'attempt' ? subject.model : ''
  console.error(
    `asyncEvents: a client follows an attempt of the model "${model}", which the option \`attempts\` does not list. ` +
      'List every class whose attempts you sign: attempts: [Attempt, …].',
  )
  return refusal(500, `This server does not follow attempts of the model "${model}". The log of the server says why.`)
}

function refusal(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', ...headers },
  })
}

interface ClientOptions {
  decrypt: boolean
  /** The version of the row that the client has; null if it has none. */
  lastVersion: string | null
  /** The events of rows, so that a value is decrypted and written as JSON once for all clients that follow it. */
  made: WeakMap<ChangedRow, LiveEvent>
}

type Follower = (send: (event: LiveEvent) => void) => () => void

/** Follows what an id names; undefined for attempts of a class that `asyncEvents` did not get. */
function followerOf(
  db: Database,
  classes: Map<string, AttemptClass>,
  subject: EventsSubject,
  { decrypt, ...client }: ClientOptions,
): Follower | undefined {
  if (subject.kind === 'attempt') {
    const Attempt = classes.get(subject.model)
    if (!Attempt) return undefined
    const table = attemptsTable(Attempt.store.table)
    const stateOf = (row: ChangedRow) => attemptState(row as ChangedRow & LiveAttempt, Attempt, decrypt)
    return (send) =>
      watchedRowsOf(Attempt.db).watch(
        table,
        subject.id,
        eventsFor(send, client, stateOf, () => GONE),
      )
  }
  const key = JSON.stringify([subject.name, subject.kind === 'report' ? subject.id : subject.key])
  const stateOf = (row: ChangedRow) => toastState(row as ChangedRow & LiveToast)
  const missing = (hadRow: boolean) => (hadRow ? GONE : NOT_REQUESTED)
  return (send) => watchedRowsOf(db).watch(toastsTable, key, eventsFor(send, client, stateOf, missing))
}

/** Sends an event for each row that differs from what the client has. */
function eventsFor(
  send: (event: LiveEvent) => void,
  { lastVersion, made }: Omit<ClientOptions, 'decrypt'>,
  stateOf: (row: ChangedRow) => LiveState,
  missing: (hadRow: boolean) => LiveState,
): (row: ChangedRow) => void {
  let sent = lastVersion
  return (row) => {
    const hadRow = sent !== null && sent !== NO_ROW
    if (row.version === sent) return
    sent = row.version
    if (row.version === NO_ROW) return send(eventOf(row, missing(hadRow)))
    const event = made.get(row) ?? eventOf(row, stateOf(row))
    made.set(row, event)
    send(event)
  }
}

function eventOf({ version }: ChangedRow, state: LiveState): LiveEvent {
  return { version, json: jsonOfState(state), finished: state.finished }
}
