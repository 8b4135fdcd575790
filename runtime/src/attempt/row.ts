import type { ErrorRecord } from '../core/errors.js'
import type { Json } from '../core/serialize.js'
import type { TraceContext } from '../telemetry/operation.js'

export const ATTEMPT_STATUSES = [
  'pending',
  'blocked',
  'running',
  'succeeded',
  'failed',
  'expired',
  'cancelled',
] as const

export type AttemptStatus = (typeof ATTEMPT_STATUSES)[number]

/** What happens to a call if one that it waits for fails, expires, is cancelled, or is deleted. */
export type IfFailed = 'cancel' | 'run' | 'wait'

/** The fields of the generated model. All others were added by the host. */
export const OWN_FIELDS = [
  'id',
  'type',
  'target',
  'method',
  'args',
  'encryptor',
  'status',
  'priority',
  'numAttempts',
  'maxAttempts',
  'idempotenceToken',
  'scheduledAt',
  'expiresAt',
  'timeoutMs',
  'snoozes',
  'limitKey',
  'startedAt',
  'completedAt',
  'result',
  'errors',
  'progress',
  'progressMessage',
  'lockedBy',
  'batchId',
  'afterIds',
  'ifFailed',
  'waivedIds',
  'hasDependents',
  'parentId',
  'traceContext',
  'schedule',
  'debounceKey',
  'debounceUntil',
  'createdAt',
  'updatedAt',
] as const

/** Those that hold a time. */
export const OWN_TIMES = OWN_FIELDS.filter((field) => field.endsWith('At') || field === 'debounceUntil')

/** A row of attempts as PostgreSQL returns it: `id` and `parent_id` are text from pg and bigint from Prisma. */
export interface AttemptRow {
  id: string | bigint
  /** The subclass that recorded the row; null for the class of the model itself. */
  type: string | null
  target: string
  method: string
  args: Json
  encryptor: string | null
  status: AttemptStatus
  priority: number
  num_attempts: number
  max_attempts: number
  idempotence_token: string | null
  scheduled_at: Date
  expires_at: Date | null
  /** The time limit of a run, in milliseconds; null for that of the method or the target. */
  timeout_ms: number | null
  snoozes: number
  /** The limit and the key of the call: `Shopify:acme`; null if it has no limit, or if its key is not computed yet. */
  limit_key: string | null
  started_at: Date | null
  completed_at: Date | null
  result: Json
  errors: StoredError[]
  /** From 0 to 1. */
  progress: number | null
  /** Encrypted if the row is. */
  progress_message: string | null
  locked_by: number | null
  parent_id: string | bigint | null
  batch_id: string | bigint | null
  /** The attempts that must have succeeded first; null or empty for none. */
  after_ids: (string | bigint)[] | null
  if_failed: IfFailed | null
  /** Those of `after_ids` that had not succeeded when it was retried: it does not wait for them any more. */
  waived_ids: (string | bigint)[] | null
  /** Whether another row has the id of this one in `after_ids`. */
  has_dependents: boolean
  /** The trace in which the call was recorded. */
  trace_context: TraceContext | null
  /** The schedule of which the call is an occurrence. */
  schedule: string | null
  /** Unique for each target and method, while the call is pending. */
  debounce_key: string | null
  /** A debounced call is not put off any further. */
  debounce_until: Date | null
  created_at: Date
  updated_at: Date
  /** Columns that the host has added. */
  [column: string]: unknown
}

interface FailedRunFacts {
  /** The number of the run, from 1. */
  number: number
  /** When the run failed: ISO 8601 text, from the clock of the database. */
  at: string
  /** How long the run took, in seconds. */
  elapsed: number
  /** The id of the worker; null if somebody had set the row to `running` by hand. */
  worker: number | null
}

/** One failed run. */
export type AttemptError = FailedRunFacts & ErrorRecord

/** One failed run as the row stores it: encrypted if the row is. */
export type StoredError = AttemptError | (FailedRunFacts & { encrypted: string })

type WithoutTime<Entry> = Entry extends unknown ? Omit<Entry, 'at'> : never

/** A failed run before it is stored. The database adds the time. */
export type NewError = WithoutTime<AttemptError>

/** A failed run as it is sent to the database, which adds the time. */
export type NewStoredError = WithoutTime<StoredError>

/** A row to insert. Columns that are left out get the table's defaults. */
export interface NewAttempt {
  /** Reserved with `reserveIds` if the content is encrypted: a ciphertext is bound to the id of its row. */
  id?: string
  type: string | null
  target: string
  method: string
  /** JSON text, encrypted if the row is. */
  args: string
  encryptor: string | null
  priority?: number | undefined
  maxAttempts?: number | undefined
  idempotenceToken?: string | undefined
  scheduledAt?: Date | undefined
  expiresAt?: Date | undefined
  /** Milliseconds after the call is due. */
  expiresAfter?: number | undefined
  /** Milliseconds. */
  timeoutMs?: number | undefined
  limitKey?: string | undefined
  parentId?: bigint | undefined
  batchId?: string | undefined
  afterIds?: string[] | undefined
  ifFailed?: IfFailed | undefined
  traceContext?: TraceContext | undefined
  /** Of a debounced or unique call. */
  debounce?: NewDebounce | undefined
  /** Columns that the host has added, by column name. */
  data: Record<string, unknown>
}

/** How a new call finds one that waits. Times are milliseconds. */
export interface NewDebounce {
  key: string
  /** Undefined for a unique call, which leaves the waiting one as it is. */
  wait: number | undefined
  atMost: number | undefined
}

/** A batch to insert with its calls. */
export interface NewBatch {
  id: string
  /** The id of the call that follows it. */
  thenId?: string | undefined
  isEmpty: boolean
}

/** Identifies one run. A statement that ends a run changes nothing unless all three match. */
export interface RunKey {
  id: bigint
  /** The number of the run, from 1. */
  number: number
  /** The id of the worker that claimed it. */
  worker: number
  /** The batch of the call; null if it belongs to none. */
  batchId: AttemptRow['batch_id']
}

/** Which rows to read. A property that is left out does not filter. */
export interface RowFilter {
  statuses?: readonly AttemptStatus[] | undefined
  target?: string | undefined
  method?: string | undefined
  idempotenceToken?: string | undefined
  parentId?: bigint | undefined
  batchId?: bigint | undefined
  types?: string[] | undefined
  /** Text in the name, code or message of the latest error. */
  error?: string | undefined
  /** Text in the arguments. */
  argument?: string | undefined
  createdAfter?: Date | undefined
  createdBefore?: Date | undefined
  endedAfter?: Date | undefined
  endedBefore?: Date | undefined
  /** Values of columns that the host has added, by column name, in JSON. */
  data?: Record<string, unknown> | undefined
}

/** What is unique among the calls that wait. */
export function debounceKey(target: string, method: string, key: string): string {
  return JSON.stringify([target, method, key])
}

/** What is unique in the table, if the row has a token. */
export function tokenKey(row: Pick<AttemptRow, 'target' | 'method' | 'idempotence_token'>): string {
  return JSON.stringify([row.target, row.method, row.idempotence_token])
}
