import { describeError } from '../errors.js'
import type { Log } from './log.js'

/**
 * Logs what ends the process: an exception or a rejection without a handler, of whatever code. Node.js then ends it as it always does.
 *
 * @returns what ends the reporting
 */
export function reportCrashes(log: Log): () => void {
  const report = (error: unknown, origin: NodeJS.UncaughtExceptionOrigin) => {
    const what = origin === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception'
    logEnd(log, `The process ends because of an ${what}`, error)
  }
  process.on('uncaughtExceptionMonitor', report)
  return () => void process.off('uncaughtExceptionMonitor', report)
}

/** The last line of a worker that ends by an error. */
export function logEnd(log: Log, what: string, cause: unknown): void {
  const error = describeError(cause)
  log.say('error', `${what}: ${error.message}`, { error })
}
