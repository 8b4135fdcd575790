import { describeError } from '../core/errors.js'
import type { Log } from './log.js'

/**
 * Logs an uncaught exception or unhandled rejection of any code as the last line of the process, and ends the process.
 *
 * One kind of exception is only a warning: PostgreSQL can end a connection at the moment when a pool hands it to Prisma's driver adapter,
 * which does not listen for errors yet. The connection is broken, and its next statement fails with an error of its own.
 *
 * @returns a function that removes the handler
 */
export function reportCrashes(log: Log): () => void {
  const report = (error: unknown, origin: NodeJS.UncaughtExceptionOrigin) => {
    if (wasLogged(error) && process.listenerCount('uncaughtException') === 1) process.exit(1)
    if (origin === 'uncaughtException' && isLostConnection(error)) {
      return log.message('warning', `PostgreSQL ended a connection: ${(error as Error).message}`)
    }
    const what = origin === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception'
    // If the host has its own handler, that decides whether the process ends.
    if (process.listenerCount('uncaughtException') > 1) return logError(log, `There was an ${what}`, error)
    console.error(error)
    logError(log, `The process ends because of an ${what}`, error)
    process.exit(1)
  }
  process.on('uncaughtException', report)
  return () => void process.off('uncaughtException', report)
}

/** The errors that ended a worker and were logged. They are not printed again. */
const logged = new WeakSet<object>()

export function wasLogged(error: unknown): boolean {
  return typeof error === 'object' && error !== null && logged.has(error)
}

/** Logs the error that ends a worker, as its last line. */
export function logEnd(log: Log, cause: unknown): void {
  logError(log, 'The worker ends', cause)
  if (typeof cause === 'object' && cause !== null) logged.add(cause)
}

/** Logs an error with its cause. */
function logError(log: Log, what: string, cause: unknown): void {
  const error = describeError(cause)
  log.message('error', `${what}: ${error.message}`, { error })
}

function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { severity, message } = error as Error & { severity?: unknown }
  return severity === 'FATAL' || message === 'Connection terminated unexpectedly'
}
