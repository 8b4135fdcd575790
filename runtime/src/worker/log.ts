import { styleText } from 'node:util'
import type { Logger } from 'graphile-worker'
import type { ErrorRecord } from '../core/errors.js'
import { timeText } from '../core/time-text.js'
import type { OperationEvent } from '../telemetry/operation.js'
import type { WorkerOperation } from './counters.js'
import type { GraphileModule } from './graphile-module.js'

export type Level = 'info' | 'warning' | 'error'

/** The log of a worker: a line for each operation, and messages for the operator. */
export interface Log {
  operation(operation: WorkerOperation, event: OperationEvent): void
  message(level: Level, text: string, fields?: object): void
}

export type LogFormat = 'pretty' | 'json'

/** @param format default: `pretty` on a terminal, `json` elsewhere */
export function openLog(format?: LogFormat, out: NodeJS.WriteStream = process.stdout): Log {
  const show = (format ?? (out.isTTY ? 'pretty' : 'json')) === 'pretty' ? pretty : json
  // An error of the output (a full disk, a closed pipe) does not stop the worker.
  out.on('error', () => {})
  const write = (line: Line) => void out.write(`${show(line)}\n`)
  return {
    operation: (operation, event) => write({ time: new Date(), level: levelOf(event), operation, event }),
    message: (level, message, fields) => write({ time: new Date(), level, message, fields }),
  }
}

/** Graphile Worker's messages, except those about jobs that have ended: the log has a line for each operation. */
export function graphileLogger({ Logger }: GraphileModule, log: Log): Logger {
  const debugging = Boolean(process.env.GRAPHILE_LOGGER_DEBUG)
  return new Logger((scope) => (level, message, meta) => {
    if (meta?.success || meta?.failure) return
    const fromJob = scope.label === 'job'
    if (level === 'debug' ? !debugging : level === 'info' && !fromJob) return
    const { taskIdentifier: task, jobId: job } = scope
    log.message(level === 'error' || level === 'warning' ? level : 'info', message, fromJob ? { task, job } : {})
  })
}

type Line = { time: Date; level: Level } & (
  | { operation: WorkerOperation; event: OperationEvent }
  | { message: string; fields?: object | undefined }
)

function levelOf({ outcome }: OperationEvent): Level {
  if (outcome === 'failed') return 'error'
  return outcome === 'retried' ? 'warning' : 'info'
}

function json({ time, level, ...line }: Line): string {
  if ('message' in line) return JSON.stringify({ time, level, message: line.message, ...line.fields })
  const { type, id, name, run, outcome, error, elapsed } = line.event
  return JSON.stringify({ time, level, event: line.operation, type, id, name, run, outcome, error, elapsed })
}

const LABEL = {
  succeeded: 'SUCCESS',
  snoozed: 'SNOOZED',
  superseded: 'SUPERSEDED',
  retried: 'FAILURE',
  failed: 'FAILURE',
} as const

const COLOUR = { info: 'green', warning: 'yellow', error: 'red' } as const

/** `2026-11-21T22:30:12Z  SUCCESS  Attempt(42) OrderClient.fulfill  31 ms`, in UTC. */
function pretty({ time, level, ...line }: Line): string {
  const at = styleText('dim', timeText(time))
  if ('message' in line) {
    const text = line.message.trimEnd()
    return `${at}  ${level === 'info' ? text : styleText(COLOUR[level], text)}${framesOf(line.fields)}`
  }
  const { type, id, name, elapsed = 0, run = 1, outcome, error } = line.event
  const label = LABEL[outcome ?? 'failed']
  const parts = [
    `${at}  ${styleText(COLOUR[level], label)}  ${type}(${id}) ${name}  ${formatSeconds(elapsed)}`,
    ...(error ? [styleText(COLOUR[level], `${error.name}: ${error.message}`)] : []),
    ...(outcome === 'retried'
      ? [`run ${run}, will be retried`]
      : outcome === 'failed'
        ? [`run ${run}, failed for good`]
        : []),
  ]
  return parts.join('  ')
}

/** The stack of an error. Omitted if the error has a code, because its message is enough. */
function framesOf({ error }: { error?: ErrorRecord } = {}): string {
  const frames = error?.stack && !error.code ? error.stack.split('\n').filter((line) => /^ {4}at /.test(line)) : []
  return frames.map((line) => `\n${line}`).join('')
}

/** `31 ms`, `2.5 s`, `3 min`, `2 h`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}
