import { describeError } from '../core/errors.js'
import type { Log } from './log.js'

/**
 * Logs what ends the process, as its last line: an exception or a rejection that nobody handles, of whatever code.
 *
 * One kind of exception does not end it. PostgreSQL may end a connection in the moment in which a pool lends it, before its borrower
 * listens for errors (Prisma's driver adapter does so). pg then throws on a connection that is broken already, and its
 * next statement fails with an error of its own.
 *
 * @returns what ends the reporting
 */
export function reportCrashes(log: Log): () => void {
  const report = (error: unknown, origin: NodeJS.UncaughtExceptionOrigin) => {
    if (wasLogged(error) && process.listenerCount('uncaughtException') === 1) process.exit(1)
    if (origin === 'uncaughtException' && isLostConnection(error)) {
      return log.say('warning', `PostgreSQL ended a connection: ${(error as Error).message}`)
    }
    const what = origin === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception'
    // Where the host handles such errors, it decides whether the process ends.
    if (process.listenerCount('uncaughtException') > 1) return logError(log, `There was an ${what}`, error)
    console.error(error)
    logError(log, `The process ends because of an ${what}`, error)
    process.exit(1)
  }
  process.on('uncaughtException', report)
  return () => void process.off('uncaughtException', report)
}

/** What a worker has ended with, which its last line says. Whoever catches the error later does not print it again. */
const logged = new WeakSet<object>()

export function wasLogged(error: unknown): boolean {
  return typeof error === 'object' && error !== null && logged.has(error)
}

/** Logs what a worker ends with, as its last line. */
export function logEnd(log: Log, cause: unknown): void {
  logError(log, 'The worker ends', cause)
  if (typeof cause === 'object' && cause !== null) logged.add(cause)
}

/** A line that says what has happened, and the error that did it. */
function logError(log: Log, what: string, cause: unknown): void {
  const error = describeError(cause)
  log.say('error', `${what}: ${error.message}`, { error })
}

function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { severity, message } = error as Error & { severity?: unknown }
  return severity === 'FATAL' || message === 'Connection terminated unexpectedly'
}
