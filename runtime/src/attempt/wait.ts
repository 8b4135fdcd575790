import { setTimeout as sleep } from 'node:timers/promises'
import { type Duration, milliseconds } from '../core/duration.js'
import { AttemptEndedError, type ErrorRecord, WaitTimeoutError } from '../core/errors.js'
import type { AttemptRecord } from './attempt.js'

const FIRST_LOOK = 10
const SLOWEST_LOOK = 250

export interface WaitOptions {
  /** Default: as long as it takes. */
  timeout?: Duration
}

/** Resolves with what the call returned, once it has. */
export async function waitFor(attempt: AttemptRecord, label: string, { timeout }: WaitOptions): Promise<unknown> {
  const deadline = timeout === undefined ? Number.POSITIVE_INFINITY : Date.now() + milliseconds(timeout)
  for (let pause = FIRST_LOOK; !attempt.isFinished; pause = Math.min(2 * pause, SLOWEST_LOOK)) {
    if (Date.now() >= deadline) throw new WaitTimeoutError(`${label} is still ${attempt.status} after ${timeout}.`)
    await sleep(Math.min(pause, deadline - Date.now()))
    await attempt.reload()
  }
  if (attempt.isSucceeded) return attempt.result
  const last = attempt.errors.at(-1)
  throw new AttemptEndedError(
    last ? `${label} ended as ${attempt.status}: ${last.message}` : `${label} ended as ${attempt.status}.`,
    last && { cause: revive(last) },
  )
}

/** The error that was stored, as one that can be thrown. */
function revive({ name, message, stack, cause }: ErrorRecord): Error {
  const error = new Error(message, cause && { cause: revive(cause) })
  error.name = name
  if (stack !== undefined) error.stack = stack
  return error
}
