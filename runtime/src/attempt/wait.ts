import { setTimeout as sleep } from 'node:timers/promises'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError, AttemptEndedError, type ErrorRecord, WaitTimeoutError } from '../core/errors.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import type { AttemptFields } from './fields.js'

/** Pauses between two reads of the row, in milliseconds. They double. */
const FIRST_PAUSE = 10
const LONGEST_PAUSE = 250

export interface WaitOptions {
  /** How long to wait. Default: without a limit. */
  timeout?: Duration
  /** Called with what the call reports, from 0 to 1, and its text, whenever that has changed. What it throws, `wait` throws. */
  onProgress?: (done: number, message: string | null) => void
}

type Reloadable = AttemptFields & { reload(): Promise<unknown> }

/** Resolves with what the call returned, once it has succeeded. */
export async function waitFor(attempt: Reloadable, label: string, options: WaitOptions): Promise<unknown> {
  const { timeout, onProgress } = options
  const deadline = deadlineOf(options)
  let reported: string | undefined
  const report = () => {
    const { progress, progressMessage } = attempt
    const report = JSON.stringify([progress, progressMessage])
    if (progress !== null && report !== reported) onProgress?.(progress, progressMessage)
    reported = report
  }
  for (let pause = FIRST_PAUSE; !attempt.isFinished; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    if (Date.now() >= deadline) throw new WaitTimeoutError(`${label} is still ${attempt.status} after ${timeout}.`)
    await sleep(Math.min(pause, deadline - Date.now()))
    await attempt.reload()
    if (onProgress) report()
  }
  if (attempt.isSucceeded) return attempt.result
  const last = attempt.errors.at(-1)
  throw new AttemptEndedError(
    last ? `${label} ended as ${attempt.status}: ${last.message}` : `${label} ended as ${attempt.status}.`,
    last && { cause: revive(last) },
  )
}

/**
 * When a wait with these options is over, in milliseconds since 1970.
 * @throws AsyncGenError UNKNOWN_OPTION, INVALID_OPTION, INVALID_DURATION
 */
export function deadlineOf(options: { timeout?: Duration; onProgress?: unknown }): number {
  refuseUnknownOptions('wait', options, ['timeout', 'onProgress'])
  const { timeout, onProgress } = options
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new AsyncGenError('INVALID_OPTION', `wait: onProgress is ${onProgress}. It must be a function.`)
  return timeout === undefined ? Number.POSITIVE_INFINITY : Date.now() + milliseconds(timeout)
}

/** The stored error, as an Error that can be thrown. */
function revive({ name, message, stack, cause }: ErrorRecord): Error {
  const error = new Error(message, cause && { cause: revive(cause) })
  error.name = name
  if (stack !== undefined) error.stack = stack
  return error
}
