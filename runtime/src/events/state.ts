import type { AttemptClass } from '../attempt/attempt.js'
import type { AttemptStatus, StoredError } from '../attempt/row.js'
import type { ErrorRecord } from '../core/errors.js'
import { type Json, jsonOf } from '../core/serialize.js'

/**
 * The status of an attempt. That of a toast or report is one of: pending (a value is wanted, or nothing is yet), running (it is computed),
 * succeeded, failed. `gone`: the row was deleted.
 */
export type LiveStatus = AttemptStatus | 'gone'

type LiveError = Pick<ErrorRecord, 'name' | 'message' | 'code'>

/** What each event holds: the state of an attempt, toast or report, as JSON. */
export interface LiveState<Result = Json> {
  status: LiveStatus
  /** Whether this is the last event. An attempt that failed can be retried later. */
  finished: boolean
  /** What the running call has reported, from 0 to 1; null if it has reported nothing. */
  progress: number | null
  /** The text that it has reported; null if there is none. */
  progressMessage: string | null
  /** What the call returned, or the value of the toast or report. Absent until it has succeeded. */
  result?: Result
  /** The error of the last run. Absent after a success, and if no run has failed. It has no stack. */
  error?: LiveError
  /** Set if content was left out because it is encrypted: `authorize` did not return `{ decrypt: true }`, or it does not decrypt. */
  encrypted?: true
}

/** The columns of an attempt that a state is made of. */
export interface LiveAttempt {
  id: string
  target: string
  method: string
  encryptor: string | null
  status: AttemptStatus
  progress: number | null
  progress_message: string | null
  result: Json
  error: StoredError | null
}

/** The columns of a toast that a state is made of. */
export interface LiveToast {
  is_running: boolean
  is_requested: boolean
  /** Whether there is a value that has not expired. */
  has_value: boolean
  progress: number | null
  progress_message: string | null
  /** Null unless the toast has a value and no refresh is requested. */
  value: Json
  error: ErrorRecord | null
}

export const GONE: LiveState = { status: 'gone', finished: true, progress: null, progressMessage: null }

/** The state of a toast that nobody has requested yet. */
export const NOT_REQUESTED: LiveState = { status: 'pending', finished: false, progress: null, progressMessage: null }

export function attemptState(row: LiveAttempt, { content }: AttemptClass, decrypt: boolean): LiveState {
  const { status, progress } = row
  const finished = status !== 'pending' && status !== 'blocked' && status !== 'running'
  const state: LiveState = { status, finished, progress, progressMessage: null }
  if (row.encryptor !== null && !decrypt) return hidden(state, row)
  const owner = { ...row, id: BigInt(row.id) }
  try {
    state.progressMessage = content.openText(row.progress_message, owner, 'progress_message')
    if (status === 'succeeded') state.result = jsonOf(content.open(row.result, owner, 'result'))
    else if (isObject(row.error)) state.error = briefly(content.decodeError(row.error, owner))
    return state
  } catch (error) {
    // An encryptor of the host may throw anything.
    if (row.encryptor !== null) return hidden(state, row)
    throw error
  }
}

export function toastState(row: LiveToast): LiveState {
  const status = statusOf(row)
  const state: LiveState = {
    status,
    finished: status === 'succeeded' || status === 'failed',
    progress: row.progress,
    progressMessage: row.progress_message,
  }
  if (status === 'succeeded') state.result = jsonOf(row.value)
  else if (isObject(row.error)) state.error = briefly(row.error)
  return state
}

function statusOf({ is_running, is_requested, has_value, error }: LiveToast): AttemptStatus {
  if (is_running) return 'running'
  if (is_requested) return 'pending'
  if (error) return 'failed'
  return has_value ? 'succeeded' : 'pending'
}

/** The state without what may be secret. Errors that say why a row cannot run are stored as plain text, so they stay. */
function hidden({ status, finished, progress }: LiveState, { error }: LiveAttempt): LiveState {
  const isPlain = isObject(error) && !('encrypted' in error) && status !== 'succeeded'
  return {
    status,
    finished,
    progress,
    progressMessage: null,
    ...(isPlain && { error: briefly(error) }),
    encrypted: true,
  }
}

/** A row that was written by hand may have anything in the column. */
function isObject<Entry>(error: Entry | null): error is Entry & object {
  return typeof error === 'object' && error !== null
}

/** The state as JSON. A value that is nested too deeply is left out, and the error says so. */
export function jsonOfState(state: LiveState): string {
  try {
    return JSON.stringify(state)
  } catch (thrown) {
    const { result: _, ...rest } = state
    const message = `The value cannot be sent: ${(thrown as Error).message}`
    return JSON.stringify({ ...rest, error: { name: 'UnsendableValue', message } } satisfies LiveState)
  }
}

function briefly({ name, message, code }: ErrorRecord): LiveError {
  return { name, message, ...(code !== undefined && { code }) }
}
