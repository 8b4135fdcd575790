import { type Json, jsonOf } from '../core/serialize.js'
import type { Content } from './content.js'
import type { AttemptError, AttemptRow, AttemptStatus, IfFailed, StoredError } from './row.js'

/** An attempt as JSON: ids are text, times are ISO 8601. Values that JSON has no type for are as the row stores them. */
export interface AttemptJson {
  id: string
  target: string
  method: string
  /** Absent if the row is encrypted, like `result`. */
  args?: Json
  encryptor: string | null
  status: AttemptStatus
  priority: number
  numAttempts: number
  maxAttempts: number
  idempotenceToken: string | null
  scheduledAt: string
  expiresAt: string | null
  timeoutMs: number | null
  snoozes: number
  limitKey: string | null
  schedule: string | null
  startedAt: string | null
  completedAt: string | null
  createdAt: string
  updatedAt: string
  parentId: string | null
  batchId: string | null
  afterIds: string[]
  /** From 0 to 1; null if the run has reported none. */
  progress: number | null
  /** Absent if the row is encrypted. */
  progressMessage?: string | null
  /** Absent until the call has succeeded. */
  result?: Json
  /** Without stacks and causes; without name and message if the row is encrypted. */
  errors: (Pick<AttemptError, 'number' | 'at' | 'elapsed'> & Partial<Pick<AttemptError, 'name' | 'message' | 'code'>>)[]
}

/** The fields of an attempt, as they were when the row was read. */
export abstract class AttemptFields {
  protected row: AttemptRow

  constructor(row: AttemptRow) {
    this.row = row
  }

  protected abstract get content(): Content
  /** The present time, in milliseconds since 1970. */
  protected abstract get now(): number

  get id(): bigint {
    return BigInt(this.row.id)
  }
  /** The name under which the target is listed. */
  get target(): string {
    return this.row.target
  }
  get method(): string {
    return this.row.method
  }
  /** @throws DecryptionError if the row is encrypted with a key that is not configured */
  get args(): unknown[] {
    return this.content.decode(this.row.args, this, 'args') as unknown[]
  }
  /** The name of the schedule of which the call is an occurrence; null if there is none. */
  get schedule(): string | null {
    return this.row.schedule
  }
  /** The name of the encryptor; null if the row is not encrypted. */
  get encryptor(): string | null {
    return this.row.encryptor
  }
  get status(): AttemptStatus {
    return this.row.status
  }
  /** Higher runs first. */
  get priority(): number {
    return this.row.priority
  }
  get numAttempts(): number {
    return this.row.num_attempts
  }
  get maxAttempts(): number {
    return this.row.max_attempts
  }
  get idempotenceToken(): string | null {
    return this.row.idempotence_token
  }
  get scheduledAt(): Date {
    return this.row.scheduled_at
  }
  /** If no run has begun by then, the attempt expires; null if it never does. */
  get expiresAt(): Date | null {
    return this.row.expires_at
  }
  /** The time limit of each run, in milliseconds; null for that of the method or the target. */
  get timeoutMs(): number | null {
    return this.row.timeout_ms
  }
  /** How many runs have ended with `snooze`. They are not counted in `numAttempts`. */
  get snoozes(): number {
    return this.row.snoozes
  }
  /** The limit and the key that the call counts for: `Shopify:acme`; null if it has none, or if no worker has computed it yet. */
  get limitKey(): string | null {
    return this.row.limit_key
  }
  get startedAt(): Date | null {
    return this.row.started_at
  }
  get completedAt(): Date | null {
    return this.row.completed_at
  }
  get createdAt(): Date {
    return this.row.created_at
  }
  get updatedAt(): Date {
    return this.row.updated_at
  }
  /** The worker that runs it now: the id in the first line that the worker printed. */
  get lockedBy(): number | null {
    return this.row.locked_by
  }
  get parentId(): bigint | null {
    return this.row.parent_id === null ? null : BigInt(this.row.parent_id)
  }
  /** The batch that it belongs to, or that it follows; null for none. */
  get batchId(): bigint | null {
    return this.row.batch_id === null ? null : BigInt(this.row.batch_id)
  }
  /** The attempts that must have succeeded before it runs, in the order given. */
  get afterIds(): bigint[] {
    return (this.row.after_ids ?? []).map(BigInt)
  }
  /** What happens if one of those does not succeed; null if it waits for none. */
  get ifFailed(): IfFailed | null {
    return this.afterIds.length === 0 ? null : (this.row.if_failed ?? 'cancel')
  }
  /** What the call returned; undefined until it has succeeded. */
  get result(): unknown {
    return this.isSucceeded ? this.content.decode(this.row.result, this, 'result') : undefined
  }
  /** What the last run has reported, from 0 to 1; null if it has reported nothing. */
  get progress(): number | null {
    return this.row.progress
  }
  /**
   * The text that the last run has reported; null if it has reported none.
   * @throws DecryptionError if the row is encrypted with a key that is not configured
   */
  get progressMessage(): string | null {
    return this.content.openText(this.row.progress_message, this, 'progress_message')
  }
  /** One entry for each failed run, the oldest first. */
  get errors(): AttemptError[] {
    return storedErrors(this.row).map((entry) =>
      isObject(entry) ? this.content.decodeError(entry, this) : unreadable(entry),
    )
  }

  /** Whether the attempt is pending, its time has come and it has not expired, by the clock of this process. */
  get isDue(): boolean {
    return this.isPending && this.scheduledAt.getTime() <= this.now && !this.hasExpired
  }
  /** Whether `expiresAt` has passed, by the clock of this process. No run begins after that, and the sweep sets the status. */
  get hasExpired(): boolean {
    return this.expiresAt !== null && this.expiresAt.getTime() <= this.now
  }
  get isPending(): boolean {
    return this.status === 'pending'
  }
  /** Whether it waits for other attempts, or for the end of a batch. */
  get isBlocked(): boolean {
    return this.status === 'blocked'
  }
  get isRunning(): boolean {
    return this.status === 'running'
  }
  get isSucceeded(): boolean {
    return this.status === 'succeeded'
  }
  get isFailed(): boolean {
    return this.status === 'failed'
  }
  get isExpired(): boolean {
    return this.status === 'expired'
  }
  get isCancelled(): boolean {
    return this.status === 'cancelled'
  }
  /** Whether a run has begun, now or before. */
  get isStarted(): boolean {
    return this.numAttempts > 0
  }
  /** Whether the attempt has ended, with or without success. */
  get isFinished(): boolean {
    return !this.isPending && !this.isBlocked && !this.isRunning
  }

  /** Plain data for `JSON.stringify`, a response or a log. Encrypted content is left out. */
  toJSON(): AttemptJson {
    const { args, result, encryptor } = this.row
    const isPlain = encryptor === null
    return {
      id: this.id.toString(),
      target: this.target,
      method: this.method,
      ...(isPlain && { args: jsonOf(args) }),
      encryptor,
      status: this.status,
      priority: this.priority,
      numAttempts: this.numAttempts,
      maxAttempts: this.maxAttempts,
      idempotenceToken: this.idempotenceToken,
      scheduledAt: this.scheduledAt.toJSON(),
      expiresAt: this.expiresAt?.toJSON() ?? null,
      timeoutMs: this.timeoutMs,
      snoozes: this.snoozes,
      limitKey: this.limitKey,
      schedule: this.schedule,
      startedAt: this.startedAt?.toJSON() ?? null,
      completedAt: this.completedAt?.toJSON() ?? null,
      createdAt: this.createdAt.toJSON(),
      updatedAt: this.updatedAt.toJSON(),
      parentId: this.parentId?.toString() ?? null,
      batchId: this.batchId?.toString() ?? null,
      afterIds: this.afterIds.map(String),
      progress: this.progress,
      ...(isPlain && { progressMessage: this.progressMessage }),
      ...(isPlain && this.isSucceeded && { result: jsonOf(result) }),
      errors: storedErrors(this.row).map((entry) => errorJson(isObject(entry) ? entry : unreadable(entry))),
    }
  }

  /** What `console.log` shows. */
  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string,
  ): string {
    return `${this.constructor.name} ${inspect(this.toJSON(), options)}`
  }
}

/** The column may hold anything if the row was written by hand. */
function storedErrors({ errors }: { errors: unknown }): unknown[] {
  return Array.isArray(errors) ? errors : [errors]
}

function errorJson(entry: StoredError): AttemptJson['errors'][number] {
  const { number, at, elapsed } = entry
  if ('encrypted' in entry) return { number, at, elapsed }
  const { name, message, code } = entry
  return { number, at, elapsed, name, message, ...(code !== undefined && { code }) }
}

function isObject(entry: unknown): entry is StoredError {
  return typeof entry === 'object' && entry !== null && !Array.isArray(entry)
}

/** The entry for something that is no error, in a row that was written by hand. */
function unreadable(entry: unknown): AttemptError {
  const message = `The column errors holds ${JSON.stringify(entry)}, which is no error.`
  return { number: 0, at: new Date(0).toISOString(), elapsed: 0, worker: null, name: 'InvalidErrors', message }
}
