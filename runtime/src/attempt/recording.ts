import { AsyncGenError, TransactionEndedError } from '../core/errors.js'
import { snakeCase } from '../core/names.js'
import { isTransactionOpen, warnOfForgottenTransaction } from '../core/prisma/open-transactions.js'
import { serialize } from '../core/serialize.js'
import type { Statement } from '../core/statement.js'
import { instrument } from '../telemetry/instrument.js'
import { traceContext } from '../telemetry/opentelemetry.js'
import type { OperationEvent } from '../telemetry/operation.js'
import type { AttemptRecord } from './attempt.js'
import type { AnyCall, RecordOptions, WithinTransaction } from './calls.js'
import { toColumn } from './columns.js'
import { currentParentId, isCallsTransactionOpen } from './current.js'
import { OWN_FIELDS } from './fields.js'
import { type AttemptRow, type NewAttempt, tokenKey } from './store.js'
import { typeOf } from './subclasses.js'
import { TargetRecord } from './targets.js'
import type { AttemptClass } from './types.js'

type Transaction = WithinTransaction['tx']

export interface Recorded {
  row: AttemptRow
  /** Whether the row was there already, under the same token. */
  duplicate: boolean
}

/** Records calls with one statement, and returns their rows in the same order. */
export async function recordCalls(
  Attempt: AttemptClass,
  calls: readonly AnyCall[],
  tx: Transaction,
): Promise<Recorded[]> {
  if (calls.length === 0) return []
  if (!tx && (isTransactionOpen(Attempt.db.prisma) || isCallsTransactionOpen()))
    warnOfForgottenTransaction(`A call of ${Attempt.name} was recorded`)
  const attempts = await named(
    Attempt,
    calls.map((call) => copied(Attempt, call)),
  )
  await sealArguments(Attempt, attempts, tx)
  const inserted = await instrument('create', eventOf(Attempt, attempts), () =>
    Attempt.store.insert(traced(attempts), tx),
  )
  if (inserted.every((row) => row !== undefined)) return inserted.map((row) => ({ row, duplicate: false }))

  const taken = attempts.filter((attempt, i) => !inserted[i] && attempt.idempotenceToken !== undefined)
  const existing = taken.length === 0 ? [] : await Attempt.store.findByTokens(taken, tx)
  const byToken = new Map(
    [...inserted.filter((row) => row !== undefined), ...existing].map((row) => [tokenKey(row), row]),
  )
  const recorded = attempts.map((attempt, i) => {
    const idempotence_token = attempt.idempotenceToken ?? null
    const row = inserted[i] ?? byToken.get(tokenKey({ ...attempt, idempotence_token }))
    return row && { row, duplicate: !inserted[i] }
  })
  if (!recorded.every((each) => each !== undefined)) throw await notRecorded(Attempt, tx)
  return recorded
}

/** Where the transaction goes on, the token is that of a row which row security hides from its role. */
async function notRecorded({ db }: AttemptClass, tx: Transaction): Promise<AsyncGenError> {
  const goesOn = async (tx: NonNullable<Transaction>) =>
    (await db.within(tx as never)(isCurrent, [await db.transactionId(tx as never)])).length > 0
  if (tx && !(await goesOn(tx).catch(() => false))) return new TransactionEndedError()
  return new AsyncGenError(
    'TOKEN_HIDDEN',
    'The idempotence token is taken by an attempt that this role cannot see, so nothing was recorded. ' +
      'Put into the token what the rows of the role have in common, such as the tenant.',
  )
}

const isCurrent: Statement = {
  name: 'async-gen:is-current',
  text: 'SELECT 1 AS current WHERE pg_current_xact_id_if_assigned()::text = $1',
}

/** An object that answers to every method of a target, or of one record of it, by recording the call. */
export function standIn(callee: object, record: (call: AnyCall) => Promise<unknown>): object {
  const [target, first] = callee instanceof TargetRecord ? [callee.target, [callee.id]] : [callee, []]
  const recorder =
    (method: string) =>
    (...args: unknown[]) =>
      record({ target, method, args: [...first, ...args] })
  return new Proxy(
    {},
    {
      // A promise would be asked for `then`; a stand-in is none.
      get: (_, method) => (typeof method === 'symbol' || method === 'then' ? undefined : recorder(method)),
    },
  )
}

function eventOf(Attempt: AttemptClass, attempts: NewAttempt[]): OperationEvent {
  const [{ target, method }] = attempts as [NewAttempt]
  const calls = attempts.length
  return { type: Attempt.name, name: calls === 1 ? `${target}.${method}` : `${calls} calls`, calls }
}

/** A call before it is known under which names its target and its class are listed. */
type CopiedCall = Omit<NewAttempt, 'target' | 'type'> & { callee: object }

/** A call as it is at this moment: what the caller changes afterwards, while names are looked up, is no part of it. */
function copied(
  Attempt: AttemptClass,
  { target: callee, method, args = [], encryptor, data = {}, idempotenceToken, parent, ...options }: AnyCall,
): CopiedCall {
  refuseOdd(options)
  return {
    ...options,
    priority: options.priority ?? Attempt.priorities.async,
    callee,
    method,
    args: serialize(args, 'args'),
    encryptor: Attempt.content.nameFor(encryptor),
    idempotenceToken: idempotenceToken ?? undefined,
    parentId: parent === undefined ? currentParentId(Attempt.store) : parentId(Attempt, parent),
    data: columnsOf(Attempt, data),
  }
}

/** @throws UnknownTargetError for a target or a method that is not listed */
async function named(Attempt: AttemptClass, calls: CopiedCall[]): Promise<NewAttempt[]> {
  const targets = await Attempt.targets()
  const type = await typeOf(Attempt)
  return calls.map(({ callee, ...call }) => {
    const target = targets.nameOf(callee)
    targets.resolve(target, call.method)
    return { ...call, type, target }
  })
}

function parentId({ store }: AttemptClass, parent: AttemptRecord | null): bigint | undefined {
  if (parent === null) return undefined
  if ((parent.constructor as AttemptClass).store === store) return parent.id
  throw odd('parent', `an attempt of another table`, `an attempt of ${store.table}, or null`)
}

const OWN_COLUMNS: readonly string[] = OWN_FIELDS.map(snakeCase)

/** The values of the host's own fields, by column. */
function columnsOf({ db, model }: AttemptClass, data: Record<string, unknown>): Record<string, unknown> {
  const columns = new Map(db.fieldsOf(model).map(({ name, column }) => [name, column]))
  const given = Object.entries(data).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    given.map(([field, value]) => {
      const column = columns.get(field) ?? field
      if (OWN_COLUMNS.includes(column) || OWN_COLUMNS.includes(snakeCase(field)))
        throw odd('data', `set to change "${field}"`, 'about columns that you have added to the model')
      if (columns.size > 0 && !columns.has(field))
        throw odd('data', `set to change "${field}"`, `about fields of ${model}`)
      return [column, toColumn(value)]
    }),
  )
}

/** JSON would make null of an invalid Date and of NaN: then a call would be made at once that was meant for later. */
function refuseOdd({ scheduledAt, priority, maxAttempts }: RecordOptions): void {
  if (scheduledAt !== undefined && !(scheduledAt instanceof Date && Number.isFinite(scheduledAt.getTime())))
    throw odd('scheduledAt', scheduledAt, 'a valid Date')
  if (priority !== undefined && !Number.isInteger(priority)) throw odd('priority', priority, 'a whole number')
  if (maxAttempts !== undefined && !(Number.isInteger(maxAttempts) && maxAttempts > 0))
    throw odd('maxAttempts', maxAttempts, 'a whole number from 1')
}

function odd(option: string, value: unknown, wanted: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `${option} is ${value}. It has to be ${wanted}.`)
}

/** A ciphertext belongs to one row, so the row's id has to be known before it is inserted. */
async function sealArguments({ store, content }: AttemptClass, attempts: NewAttempt[], tx: Transaction): Promise<void> {
  const encrypted = attempts.filter(({ encryptor }) => encryptor !== null)
  if (encrypted.length === 0) return
  const ids = await store.reserveIds(encrypted.length, tx)
  for (const [i, attempt] of encrypted.entries()) {
    attempt.args = content.seal(attempt.args, { ...attempt, id: ids[i]! }, 'args')
    attempt.id = ids[i]!.toString()
  }
}

/** With the trace that asks for them, so that their runs can be linked to it. */
function traced(attempts: NewAttempt[]): NewAttempt[] {
  const trace = traceContext()
  return trace ? attempts.map((attempt) => ({ ...attempt, traceContext: trace })) : attempts
}
