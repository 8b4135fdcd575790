import type { AttemptClass } from '../../attempt/attempt.js'
import { type AttemptStatus, OWN_FIELDS } from '../../attempt/row.js'
import { typesOf } from '../../attempt/subclasses.js'
import type { StoredErrorText } from '../../core/error-text.js'
import { toJson } from '../../core/json-text.js'
import { jsonOf, serialize } from '../../core/serialize.js'
import { attemptStatement, childrenStatement, MAX_VALUE } from '../sql/attempt.js'

/** An error of a run, as the row stores it. A row that was written by hand may hold anything. */
export interface ShownError extends StoredErrorText {
  number?: unknown
  at?: unknown
  elapsed?: unknown
  worker?: unknown
  encrypted?: unknown
  /** Whether its causes and the ends of its texts are left out. */
  isCut?: boolean
}

/** All that the page of an attempt shows. Long values are cut. */
export interface ShownAttempt {
  id: string
  type: string | null
  target: string
  method: string
  status: AttemptStatus
  priority: number
  numAttempts: number
  maxAttempts: number
  snoozes: number
  token: string | null
  encryptor: string | null
  scheduledAt: Date
  expiresAt: Date | null
  startedAt: Date | null
  completedAt: Date | null
  createdAt: Date
  updatedAt: Date
  /** The clock of the database. */
  now: Date
  timeoutMs: number | null
  progress: number | null
  progressMessage: string | null
  lockedBy: number | null
  parentId: string | null
  batchId: string | null
  schedule: string | null
  /** The limit and the key that it counts for. */
  limitKey: string | null
  ifFailed: string | null
  /** How many attempts it waits, or has waited, for; null for none. */
  afterCount: number | null
  traceparent: string | null
  /** JSON; null if it is encrypted or too large to be read. */
  argsText: string | null
  argsBytes: number | null
  resultText: string | null
  resultBytes: number | null
  /** The latest errors, the oldest of them first. */
  errors: ShownError[] | null
  errorCount: string | null
  /** The columns that the host has added, as text. */
  data: Record<string, string | null>
  /** Whether the content was decrypted for this page. */
  isDecrypted?: boolean
  /** Why it could not be. */
  undecryptable?: string
}

export interface Child {
  id: string
  target: string
  method: string
  status: AttemptStatus
}

/** How many children are counted, and how many of them are shown. */
const CHILDREN = { counted: 1001, shown: 20 }

/** @param decrypt whether encrypted content is to be decrypted */
export async function readAttempt(
  Attempt: AttemptClass,
  id: bigint,
  decrypt: boolean,
): Promise<ShownAttempt | undefined> {
  const { db, store, model } = Attempt
  const added = db.fieldsOf(model).filter(({ name }) => !OWN_FIELDS.some((own) => own === name))
  const types = (await typesOf(Attempt)) ?? null
  const [row] = await db.query<ShownAttempt>(attemptStatement(store.table, added), [id, types])
  if (!row || row.encryptor === null || !decrypt) return row
  return { ...row, ...(await decrypted(Attempt, id)) }
}

/** The attempts that the call has recorded, and how many they are, as far as they were counted. */
export async function readChildren(
  { db, store }: AttemptClass,
  id: bigint,
): Promise<{ children: Child[]; total: number; isMore: boolean }> {
  const values = [id, CHILDREN.counted, CHILDREN.shown]
  const rows = await db.query<Child & { total: number }>(childrenStatement(store.table), values)
  const total = rows[0]?.total ?? 0
  return { children: rows, total: Math.min(total, CHILDREN.counted - 1), isMore: total === CHILDREN.counted }
}

async function decrypted(Attempt: AttemptClass, id: bigint): Promise<Partial<ShownAttempt>> {
  const attempt = await Attempt.find(id)
  if (!attempt) return {}
  try {
    return {
      ...shown('args', attempt.args),
      ...(attempt.isSucceeded && shown('result', attempt.result)),
      progressMessage: attempt.progressMessage,
      errors: attempt.errors.map((error) => ({ ...error })),
      isDecrypted: true,
    }
  } catch (error) {
    return { undecryptable: (error as Error).message }
  }
}

function shown(name: 'args' | 'result', value: unknown): Partial<ShownAttempt> {
  const text = toJson(jsonOf(JSON.parse(serialize(value))))
  return { [`${name}Text`]: text.slice(0, MAX_VALUE).toWellFormed(), [`${name}Bytes`]: Buffer.byteLength(text) }
}
