import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import type { Logger, TaskList } from 'graphile-worker'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import type { RetentionPeriods } from '../core/swept-table.js'
import type { Address } from './health.js'
import type { LogFormat } from './log.js'
import { type RetentionOptions, retentionPeriods } from './retention.js'

export interface RunWorkerOptions {
  /**
   * The folder of Graphile Worker tasks: each file is a task of that name. Or the tasks by name, for a bundled worker, which has no folder
   * at run time: `{ attempt, refresh_toast }`.
   */
  tasks: URL | string | TaskList
  /** How many jobs run at the same time, from 1 to 1000. Default: 10. `ASYNC_WORKER_CONCURRENCY` overrides it. */
  concurrency?: number
  /** How often to poll for jobs, beside PostgreSQL's notifications: at least 10 ms. Default: 2 seconds. `ASYNC_WORKER_SLEEP` overrides it. */
  pollInterval?: Duration
  /**
   * How many jobs to fetch ahead, up to 10,000. Default: none. With some hundreds, a worker of many short jobs is several times faster. A job
   * that was fetched waits for this worker, even if another one is idle.
   */
  prefetch?: number
  /** How often to release the work of dead workers and add jobs that are missing: at least 100 ms. Default: 3 seconds. */
  sweepEvery?: Duration
  /**
   * How long running jobs may take to end after the first stop signal, up to a day. Then they are aborted, and five seconds later
   * released for other workers. Default: 20 seconds, so that the worker has ended before Kubernetes and Heroku kill it after 30.
   */
  stopTimeout?: Duration
  /** Recurring tasks, as the text of a Graphile Worker crontab: `0 4 * * * clean_up`. Its times are UTC. */
  crontab?: string
  /** How long finished attempts are kept. `false` keeps them for ever. */
  retention?: RetentionOptions | false
  /**
   * Where to serve `/livez`, `/readyz` and `/metrics`: a port of the loopback interface, or an address such as `0.0.0.0:9394`, which other
   * machines can reach. Default: nowhere. `ASYNC_WORKER_HEALTH` overrides it.
   */
  health?: number | string
  /**
   * The log format: lines for people (`pretty`) or JSON (`json`). Default: pretty on a terminal, json elsewhere. `ASYNC_WORKER_LOG` overrides it.
   */
  log?: LogFormat
  /** Run until nothing is due, then end. `ASYNC_WORKER_ONCE` overrides it. */
  once?: boolean
  /** Receives the messages of Graphile Worker and of the tasks' loggers. Default: the worker's own log. */
  logger?: Logger
}

/** The options with their defaults: durations are milliseconds, paths are absolute. */
export interface WorkerSettings {
  /** A folder, or the tasks by name. */
  tasks: string | TaskList
  concurrency: number
  pollInterval: number
  prefetch: number
  sweepEvery: number
  stopTimeout: number
  crontab: string
  retention: RetentionPeriods | false
  health: Address | undefined
  log: LogFormat | undefined
  once: boolean
  logger: Logger | undefined
}

/**
 * The environment takes precedence over the options, because `async-gen-worker` passes its flags in it. An empty variable is ignored.
 * @throws AsyncGenError INVALID_SETTING
 */
export function workerSettings(options: RunWorkerOptions, env: NodeJS.ProcessEnv): WorkerSettings {
  const given = (option: keyof RunWorkerOptions, variable = ''): Given =>
    env[variable] ? { name: variable, value: env[variable] } : { name: `The option ${option}`, value: options[option] }
  return {
    tasks: tasksOf(options.tasks),
    concurrency: whole(given('concurrency', 'ASYNC_WORKER_CONCURRENCY'), { from: 1, to: 1000 }) ?? 10,
    pollInterval: time(given('pollInterval', 'ASYNC_WORKER_SLEEP'), { from: '10ms', to: '1 hour' }) ?? 2000,
    prefetch: whole(given('prefetch'), { from: 0, to: 10_000 }) ?? 0,
    sweepEvery: time(given('sweepEvery'), { from: '100ms', to: '1 hour' }) ?? 3000,
    stopTimeout: time(given('stopTimeout', 'ASYNC_WORKER_STOP_TIMEOUT'), { from: '0ms', to: '1 day' }) ?? 20_000,
    crontab: crontabOf(given('crontab')),
    retention: options.retention !== false && retentionPeriods(options.retention ?? {}),
    health: address(given('health', 'ASYNC_WORKER_HEALTH')),
    log: logFormat(given('log', 'ASYNC_WORKER_LOG')),
    once: yesOrNo(given('once', 'ASYNC_WORKER_ONCE')) ?? false,
    logger: options.logger,
  }
}

/** A value, and its name for the error message. Undefined if the default applies. */
interface Given {
  name: string
  value: unknown
}

function whole({ name, value }: Given, { from, to }: { from: number; to: number }): number | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && Number.isInteger(number) && number >= from && number <= to) return number
  throw invalid(name, value, `a whole number from ${from} to ${to}`)
}

function time({ name, value }: Given, { from, to }: { from: Duration; to: Duration }): number | undefined {
  if (value === undefined) return undefined
  const result = tryMilliseconds(value)
  if (result !== undefined && result >= milliseconds(from) && result <= milliseconds(to)) return result
  throw invalid(name, value, `a duration from ${from} to ${to}, such as 500ms or 5s`)
}

function tryMilliseconds(value: unknown): number | undefined {
  try {
    return milliseconds(value as Duration)
  } catch {
    return undefined
  }
}

function yesOrNo({ name, value }: Given): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  if (value === '1' || value === 'true') return true
  if (value === '0' || value === 'false') return false
  throw invalid(name, value, '1 or true, 0 or false')
}

function logFormat({ name, value }: Given): LogFormat | undefined {
  if (value === undefined || value === 'pretty' || value === 'json') return value
  throw invalid(name, value, 'pretty or json')
}

function address({ name, value }: Given): Address | undefined {
  if (value === undefined) return undefined
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  const [, host = '127.0.0.1', port] = /^(?:\[?([^\]]+)\]?:)?(\d{1,5})$/.exec(text) ?? []
  if (port !== undefined && Number(port) <= 65535) return { host, port: Number(port) }
  throw invalid(name, value, 'a port such as 9394, or an address such as 0.0.0.0:9394')
}

function tasksOf(tasks: unknown): string | TaskList {
  if (tasks instanceof URL && tasks.protocol === 'file:') return fileURLToPath(tasks)
  if (typeof tasks === 'string' && tasks !== '') return tasks
  const isList = typeof tasks === 'object' && tasks !== null && !(tasks instanceof URL)
  if (isList && Object.values(tasks).every((task) => typeof task === 'function')) return { ...tasks }
  throw invalid('The option tasks', tasks, 'a folder (a file URL or a path), or an object of task functions by name')
}

function crontabOf({ name, value }: Given): string {
  if (value === undefined) return ''
  if (typeof value !== 'string')
    throw invalid(name, value, "the text of a Graphile Worker crontab: '0 4 * * * my_task'")
  return value
}

function invalid(name: string, value: unknown, allowed: string): AsyncGenError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : inspect(value, { depth: 0, breakLength: Infinity })
  return new AsyncGenError('INVALID_SETTING', `${name} is ${shown}. It must be ${allowed}.`)
}
