import { delayMilliseconds } from '../core/duration.js'
import { AsyncGenError, TransactionEndedError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import { snakeCase } from '../core/names.js'
import { warnOfForgottenTransaction } from '../core/prisma/open-transactions.js'
import { serialize } from '../core/serialize.js'
import type { Statement } from '../core/statement.js'
import { instrument } from '../telemetry/instrument.js'
import { traceContext } from '../telemetry/opentelemetry.js'
import type { OperationEvent } from '../telemetry/operation.js'
import { checkArguments } from './arguments.js'
import { batchIdOf, requireOpenBatches } from './batches/reference.js'
import type { BoundClass } from './binding.js'
import type { AnyCall, RecordOptions, WithinTransaction } from './calls.js'
import { toColumn } from './columns.js'
import { currentParentId, isCallsTransactionOpen } from './current.js'
import { debounceOf } from './debounce/options.js'
import { insertDebounced } from './debounce/record.js'
import { predecessorColumns, requirePredecessors } from './dependencies/predecessors.js'
import type { AttemptFields } from './fields.js'
import { limitKey } from './limits/list.js'
import { TargetRecord } from './record-target.js'
import { type AttemptRow, type NewAttempt, type NewBatch, type NewDebounce, OWN_FIELDS, tokenKey } from './row.js'
import { typeOf } from './subclasses.js'
import { timeLimit } from './timeout-option.js'

type Transaction = WithinTransaction['tx']

export interface Recorded {
  row: AttemptRow
  /** Whether the row existed already, with the same token. */
  duplicate: boolean
}

/**
 * Records calls with one statement, and returns their rows in the same order.
 * @param batch a new batch that they belong to; if a call follows it, that one is the last of the calls
 */
export async function recordCalls(
  Attempt: BoundClass,
  calls: readonly AnyCall[],
  tx: Transaction,
  batch?: NewBatch,
): Promise<Recorded[]> {
  if (calls.length === 0 && !batch) return []
  if (!tx && (Attempt.db.isTransactionOpen() || isCallsTransactionOpen()))
    warnOfForgottenTransaction(`A call of ${Attempt.name} was recorded`, Attempt.db.transactionOfTest !== undefined)
  const attempts = await named(
    Attempt,
    calls.map((call) => copied(Attempt, call)),
  )
  for (const attempt of attempts) if (batch) attempt.batchId = batch.id
  if (batch?.thenId !== undefined) attempts.at(-1)!.id = batch.thenId
  const query = Attempt.store.queryIn(tx)
  await requirePredecessors(Attempt, attempts, query)
  if (!batch) await requireOpenBatches(Attempt, attempts, query)
  await sealArguments(Attempt, attempts, tx)
  if (attempts.some(({ debounce }) => debounce)) {
    requireOnlyDebounced(attempts)
    const rows = await instrument('create', eventOf(Attempt, attempts), () =>
      insertDebounced(Attempt, withTraceContext(attempts), tx),
    )
    if (!rows.every((row) => row !== undefined)) throw await notRecorded(Attempt, tx)
    return rows.map(({ wasWaiting, ...row }) => ({ row, duplicate: wasWaiting }))
  }
  const insert = () => Attempt.store.insert(withTraceContext(attempts), tx, batch)
  const inserted = await (attempts.length === 0 ? insert() : instrument('create', eventOf(Attempt, attempts), insert))
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

/** One statement has one condition for what exists already. A newer call would change what others wait for. */
function requireOnlyDebounced(attempts: readonly NewAttempt[]): void {
  if (attempts.some(({ idempotenceToken }) => idempotenceToken !== undefined))
    throw new AsyncGenError(
      'INVALID_OPTION',
      'createMany cannot record calls with an idempotenceToken and debounced or unique calls together. Call it once for each kind.',
    )
  if (attempts.some(({ debounce, batchId, afterIds }) => debounce && (batchId ?? afterIds) !== undefined))
    throw new AsyncGenError(
      'INVALID_OPTION',
      'A call that is debounced or unique cannot belong to a batch, nor wait for others with `after`: it may be a call that waits already.',
    )
}

/** If the transaction is still open, the token belongs to a row that row-level security hides from this role. */
async function notRecorded({ db }: BoundClass, tx: Transaction): Promise<AsyncGenError> {
  const isOpen = async (tx: NonNullable<Transaction>) =>
    (await db.within(tx as never)(isCurrent, [await db.transactionId(tx as never)])).length > 0
  if (tx && !(await isOpen(tx).catch(() => false))) return new TransactionEndedError()
  return new AsyncGenError(
    'TOKEN_HIDDEN',
    'An attempt that this database role cannot see has the same idempotence token, so nothing was recorded. ' +
      'Add to the token what the rows of the role have in common, such as the id of the tenant.',
  )
}

const isCurrent: Statement = {
  name: 'async-gen:is-current',
  text: 'SELECT 1 AS current WHERE pg_current_xact_id_if_assigned()::text = $1',
}

/** An object on which each method of a target, or of one record of it, records a call instead of running it. */
export function standIn(callee: object, record: (call: AnyCall) => Promise<unknown>): object {
  const [target, first] = callee instanceof TargetRecord ? [callee.target, [callee.id]] : [callee, []]
  const recorder =
    (method: string) =>
    (...args: unknown[]) =>
      record({ target, method, args: [...first, ...args] })
  return new Proxy(
    {},
    {
      // `await` looks for `then`: without this, it would record a call.
      get: (_, method) => (typeof method === 'symbol' || method === 'then' ? undefined : recorder(method)),
    },
  )
}

function eventOf(Attempt: BoundClass, attempts: NewAttempt[]): OperationEvent {
  const [{ target, method }] = attempts as [NewAttempt]
  const calls = attempts.length
  return { type: Attempt.name, name: calls === 1 ? `${target}.${method}` : `${calls} calls`, calls }
}

/** A call before the names of its target and its class are looked up. */
type CopiedCall = Omit<NewAttempt, 'target' | 'type'> & {
  callee: object
  /** The arguments themselves, for the schemas. */
  given: unknown[]
}

const OPTIONS = ['priority', 'maxAttempts', 'scheduledAt', 'expiresAt', 'expiresAfter', 'timeout', 'tx']

/** A copy of a call. What the caller changes later, while names are looked up, does not change it. */
function copied(
  Attempt: BoundClass,
  {
    target: callee,
    method,
    args = [],
    encryptor,
    data = {},
    idempotenceToken,
    parent,
    debounce,
    unique,
    after,
    ifFailed,
    batch,
    ...options
  }: AnyCall,
): CopiedCall {
  refuseUnknownOptions(`A call of ${Attempt.name}`, options, OPTIONS)
  requireValid(options)
  const { priority, maxAttempts, scheduledAt, expiresAt, expiresAfter, timeout } = options
  const json = serialize(args, 'args')
  const encryptorName = Attempt.content.nameFor(encryptor)
  const waits = debounceOf({ debounce, unique, idempotenceToken, scheduledAt }, json, encryptorName !== null)
  return {
    priority: priority ?? Attempt.priorities.async,
    maxAttempts,
    scheduledAt,
    expiresAt,
    expiresAfter:
      expiresAfter === undefined ? undefined : delayMilliseconds(expiresAfter, 'expiresAfter') + delayOf(waits),
    timeoutMs: timeout === undefined ? undefined : timeLimit(timeout, 'timeout'),
    callee,
    method,
    given: args,
    args: json,
    encryptor: encryptorName,
    debounce: waits,
    idempotenceToken: idempotenceToken ?? undefined,
    parentId: parent === undefined ? currentParentId(Attempt.store) : parentId(Attempt, parent),
    batchId: batch === undefined ? undefined : batchIdOf(Attempt, batch, `batch of a call of ${Attempt.name}`),
    ...predecessorColumns(Attempt, after, ifFailed),
    data: columnsOf(Attempt, data),
  }
}

/** An expiry counts from when the call is due. */
function delayOf({ wait = 0, atMost = wait }: Partial<NewDebounce> = {}): number {
  return Math.min(wait, atMost)
}

/** @throws UnknownTargetError for a target or a method that is not listed; InvalidArgumentsError; AsyncGenError INVALID_LIMIT_KEY */
async function named(Attempt: BoundClass, calls: CopiedCall[]): Promise<NewAttempt[]> {
  const targets = await Attempt.targets()
  const type = await typeOf(Attempt)
  const found = calls.map(({ callee, given, ...call }) => {
    const target = targets.nameOf(callee)
    targets.resolve(target, call.method)
    return { call: { ...call, type, target } as NewAttempt, given, ...targets.settingsOf(target, call.method) }
  })
  for (const { path, schemas, given } of found) if (schemas) await checkArguments(path, schemas, given)
  for (const { call, path, limit, given } of found) if (limit) call.limitKey = limitKey(limit, path, given)
  return found.map(({ call }) => call)
}

function parentId({ store }: BoundClass, parent: AttemptFields | null): bigint | undefined {
  if (parent === null) return undefined
  if ((parent.constructor as unknown as BoundClass).store === store) return parent.id
  throw invalidOption('parent', 'an attempt of another table', `an attempt of the table ${store.table}, or null`)
}

const OWN_COLUMNS: readonly string[] = OWN_FIELDS.map(snakeCase)

/** The values of the fields that the host has added, by column. */
export function columnsOf({ db, model }: BoundClass, data: Record<string, unknown>): Record<string, unknown> {
  const columns = new Map(db.fieldsOf(model).map(({ name, column }) => [name, column]))
  const given = Object.entries(data).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    given.map(([field, value]) => {
      const column = columns.get(field) ?? field
      if (OWN_COLUMNS.includes(column) || OWN_COLUMNS.includes(snakeCase(field)))
        throw invalidField(field, 'is a field of async-gen', model)
      if (columns.size > 0 && !columns.has(field)) throw invalidField(field, 'does not exist', model)
      return [column, toColumn(value)]
    }),
  )
}

/** An invalid Date and NaN would become null in JSON, so that a call for later would run at once. */
function requireValid({ scheduledAt, expiresAt, expiresAfter, priority, maxAttempts }: RecordOptions): void {
  for (const [option, time] of Object.entries({ scheduledAt, expiresAt })) {
    if (time !== undefined && !(time instanceof Date && isStorable(time)))
      throw invalidOption(option, time, 'a valid Date, of the years 1 to 9999')
  }
  if (expiresAt && expiresAfter !== undefined)
    throw invalidOption('expiresAfter', expiresAfter, 'left out, because expiresAt is set')
  if (expiresAt && scheduledAt && expiresAt <= scheduledAt)
    throw invalidOption('expiresAt', expiresAt.toISOString(), `after scheduledAt (${scheduledAt.toISOString()})`)
  if (priority !== undefined && !Number.isInteger(priority)) throw invalidOption('priority', priority, 'a whole number')
  if (maxAttempts !== undefined && !(Number.isInteger(maxAttempts) && maxAttempts > 0))
    throw invalidOption('maxAttempts', maxAttempts, 'a whole number from 1')
}

/** PostgreSQL does not read the ISO format of other years. */
function isStorable(time: Date): boolean {
  const year = time.getUTCFullYear()
  return year >= 1 && year <= 9999
}

function invalidField(field: string, why: string, model: string): AsyncGenError {
  return new AsyncGenError(
    'INVALID_OPTION',
    `data cannot set ${JSON.stringify(field)}: it ${why}. data sets the fields that you have added to the model ${model}.`,
  )
}

function invalidOption(option: string, value: unknown, wanted: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `${option} is ${value}. It must be ${wanted}.`)
}

/** A ciphertext is bound to the id of its row, so ids are reserved before the insert. */
async function sealArguments({ store, content }: BoundClass, attempts: NewAttempt[], tx: Transaction): Promise<void> {
  const encrypted = attempts.filter(({ encryptor, debounce }) => encryptor !== null && !debounce)
  if (encrypted.length === 0) return
  const withoutId = encrypted.filter(({ id }) => id === undefined)
  const ids = await store.reserveIds(withoutId.length, tx)
  for (const [i, attempt] of withoutId.entries()) attempt.id = ids[i]!.toString()
  for (const attempt of encrypted) {
    attempt.args = content.seal(attempt.args, { ...attempt, id: BigInt(attempt.id!) }, 'args')
  }
}

/** Adds the active trace context, so that the runs can be linked to it. */
function withTraceContext(attempts: NewAttempt[]): NewAttempt[] {
  const trace = traceContext()
  return trace ? attempts.map((attempt) => ({ ...attempt, traceContext: trace })) : attempts
}
