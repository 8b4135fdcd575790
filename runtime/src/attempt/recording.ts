import { AsyncGenError, TransactionEndedError } from '../errors.js'
import { traceContext } from '../opentelemetry.js'
import { serialize } from '../serialize.js'
import { type Telling, tell } from '../telemetry.js'
import type { AnyCall, RecordOptions, WithinTransaction } from './calls.js'
import { toColumn } from './columns.js'
import { currentParentId } from './current.js'
import { type AttemptRow, type NewAttempt, tokenKey } from './store.js'
import { type TargetList, TargetRecord } from './targets.js'
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
  // The arguments are copied before the first await: the caller may change them right after the call.
  const copies = calls.map((call) => newAttempt(Attempt, call))
  const attempts = withTargetNames(await Attempt.targets(), calls, copies)
  await sealArguments(Attempt, attempts, tx)
  const inserted = await tell('create', tellingOf(Attempt, attempts), () => Attempt.store.insert(traced(attempts), tx))
  if (inserted.every((row) => row !== undefined)) return inserted.map((row) => ({ row, duplicate: false }))

  const taken = attempts.filter((attempt, i) => !inserted[i] && attempt.idempotenceToken !== undefined)
  const existing = taken.length === 0 ? [] : await Attempt.store.findByTokens(taken, tx)
  const byToken = new Map(
    [...inserted.filter((row) => row !== undefined), ...existing].map((row) => [tokenKey(row), row]),
  )
  return attempts.map((attempt, i) => {
    const idempotence_token = attempt.idempotenceToken ?? null
    const row = inserted[i] ?? byToken.get(tokenKey({ ...attempt, idempotence_token }))
    if (!row) throw new TransactionEndedError()
    return { row, duplicate: !inserted[i] }
  })
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

function tellingOf(Attempt: AttemptClass, attempts: NewAttempt[]): Telling {
  const [{ target, method }] = attempts as [NewAttempt]
  const calls = attempts.length
  return { type: Attempt.name, name: calls === 1 ? `${target}.${method}` : `${calls} calls`, calls }
}

/** @throws UnknownTargetError for a call of what is not listed */
function withTargetNames(
  targets: TargetList,
  calls: readonly AnyCall[],
  attempts: Omit<NewAttempt, 'target'>[],
): NewAttempt[] {
  return attempts.map((attempt, i) => {
    const target = targets.nameOf(calls[i]!.target)
    targets.resolve(target, attempt.method)
    return { ...attempt, target }
  })
}

function newAttempt(
  Attempt: AttemptClass,
  { target: _target, method, args = [], encryptor, data = {}, idempotenceToken, ...options }: AnyCall,
): Omit<NewAttempt, 'target'> {
  refuseOdd(options)
  const given = Object.entries(data).filter(([, value]) => value !== undefined)
  const columns = new Map(Attempt.db.fieldsOf(Attempt.model).map(({ name, column }) => [name, column]))
  return {
    ...options,
    type: isSubclass(Attempt) ? Attempt.name : null,
    method,
    args: serialize(args, 'args'),
    encryptor: Attempt.content.nameFor(encryptor),
    idempotenceToken: idempotenceToken ?? undefined,
    parentId: currentParentId(Attempt.store),
    data: Object.fromEntries(given.map(([field, value]) => [columns.get(field) ?? field, toColumn(value)])),
  }
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

/** Whether a class extends a class that extends what BaseAttempt returned. */
function isSubclass(Attempt: AttemptClass): boolean {
  return !Object.hasOwn(Attempt, 'store') && !Object.hasOwn(Object.getPrototypeOf(Attempt), 'store')
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
