import type { AttemptClass, AttemptRecord } from '../../attempt/attempt.js'
import { reasonOfBlock } from '../../attempt/dependencies/reason.js'
import type { AttemptJson } from '../../attempt/fields.js'
import type { Pause } from '../../attempt/pauses.js'
import { type Json, jsonOf, serialize } from '../../core/serialize.js'

/** What the command shows of an attempt. */
export interface AttemptFacts extends Omit<AttemptJson, 'errors'> {
  model: string
  /** The class of the attempt: a subclass, or that of the model. */
  type: string
  errors: ErrorFacts[]
  /** The worker that runs it now. */
  lockedBy: number | null
  /** Whether it is pending and a pause matches it. */
  isPaused: boolean
  /** Why the content could not be decrypted. */
  undecryptable?: string
}

type StoredErrors = AttemptRecord['errors']

/** Without stack and causes in a list; without name and message if it is encrypted. */
export type ErrorFacts = Pick<StoredErrors[number], 'number' | 'at' | 'elapsed'> & Partial<StoredErrors[number]>

/** All that `show` shows. */
export interface DetailedFacts extends AttemptFacts {
  /** What a blocked attempt waits for. */
  blockedBy: string | null
  children: number
  /** The fields that the host has added. */
  data: Record<string, unknown>
}

export function factsOf(attempt: AttemptRecord, pauses: readonly Pause[], decrypt = false): AttemptFacts {
  const facts: AttemptFacts = {
    model: classOf(attempt).model,
    type: classOf(attempt).name,
    ...attempt.toJSON(),
    lockedBy: attempt.lockedBy,
    isPaused: attempt.isPending && pauses.some((pause) => matches(pause, attempt)),
  }
  return decrypt && attempt.encryptor !== null ? { ...facts, ...decrypted(attempt) } : facts
}

export async function detailsOf(attempt: AttemptRecord, decrypt = false): Promise<DetailedFacts> {
  const Attempt = classOf(attempt)
  const [pauses, children, blockedBy] = await Promise.all([
    Attempt.pauses(),
    Attempt.count({ parent: attempt }),
    attempt.isBlocked ? reasonOfBlock(attempt, Attempt.store) : null,
  ])
  const facts = factsOf(attempt, pauses, decrypt)
  const errors = attempt.encryptor === null ? attempt.errors : facts.errors
  return { ...facts, blockedBy, errors, children, data: attempt.data as Record<string, unknown> }
}

function classOf(attempt: AttemptRecord): AttemptClass {
  return attempt.constructor as AttemptClass
}

function matches({ target, method }: Pause, attempt: AttemptRecord): boolean {
  return [null, attempt.target].includes(target) && [null, attempt.method].includes(method)
}

/** The content as JSON, as a row without encryption holds it. */
function decrypted(attempt: AttemptRecord): Partial<AttemptFacts> {
  try {
    return {
      args: plain(attempt.args),
      progressMessage: attempt.progressMessage,
      ...(attempt.isSucceeded && { result: plain(attempt.result) }),
      errors: attempt.errors,
    }
  } catch (error) {
    return { undecryptable: (error as Error).message }
  }
}

function plain(value: unknown): Json {
  return jsonOf(JSON.parse(serialize(value)))
}
