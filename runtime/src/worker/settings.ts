import { fileURLToPath } from 'node:url'
import type { Logger } from 'graphile-worker'
import { type Duration, milliseconds } from '../duration.js'
import { AsyncGenError } from '../errors.js'
import type { Address } from './health.js'
import type { LogFormat } from './log.js'
import { type KeepFor, keepFor, type Retention } from './retention.js'

export interface RunWorkerOptions {
  /** The folder of Graphile Worker tasks: each file is a task, called as the file is. */
  tasks: URL | string
  /** How many tasks run at the same time. Default: 10. `ASYNC_WORKER_CONCURRENCY` overrides it. */
  concurrency?: number
  /** How often to look for jobs that came without a notification. Default: 2 seconds. `ASYNC_WORKER_SLEEP` overrides it. */
  pollInterval?: Duration
  /**
   * How many jobs to fetch ahead. Default: none. Some hundreds make a worker of many short tasks several times faster; a job that
   * was fetched waits for this worker, even while another one is idle.
   */
  prefetch?: number
  /** How often dead workers' work is taken back and lost jobs are found again. Default: 3 seconds. */
  sweepEvery?: Duration
  /**
   * How long the tasks at hand may take to end once the worker is told to stop. Then they are aborted, and five seconds later
   * left for other workers. Default: 20 seconds, so that all is over when Kubernetes and Heroku lose patience after 30.
   */
  stopTimeout?: Duration
  /** Recurring tasks, as the text of a Graphile Worker crontab. */
  crontab?: string
  /** How long what is done is kept. The defaults are those of `Retention`; `false` keeps everything. */
  retention?: Retention | false
  /**
   * Where to serve `/livez`, `/readyz` and `/metrics`: a port of the loopback interface, or `0.0.0.0:9394` for others to see.
   * Default: nowhere. `ASYNC_WORKER_HEALTH` overrides it.
   */
  health?: number | string
  /**
   * Lines for people (`pretty`) or for programs (`json`). Default: pretty on a terminal, json elsewhere. `ASYNC_WORKER_LOG` overrides it.
   */
  log?: LogFormat
  /** Work until nothing is due, then end. `ASYNC_WORKER_ONCE` overrides it. */
  once?: boolean
  /** Takes what Graphile Worker itself and the tasks' own loggers say. Default: among the worker's lines. */
  logger?: Logger
}

/** The options with their defaults: durations are milliseconds, paths are absolute. */
export interface Settings {
  tasks: string
  concurrency: number
  pollInterval: number
  prefetch: number
  sweepEvery: number
  stopTimeout: number
  crontab: string
  retention: KeepFor | false
  health: Address | undefined
  log: LogFormat | undefined
  once: boolean
  logger: Logger | undefined
}

/** What the environment says goes first: it is how `async-worker` hands its flags over. */
export function settingsOf(options: RunWorkerOptions, env: NodeJS.ProcessEnv): Settings {
  return {
    tasks: typeof options.tasks === 'string' ? options.tasks : fileURLToPath(options.tasks),
    concurrency: count(env.ASYNC_WORKER_CONCURRENCY, 'ASYNC_WORKER_CONCURRENCY') ?? options.concurrency ?? 10,
    pollInterval: milliseconds((env.ASYNC_WORKER_SLEEP as Duration) || (options.pollInterval ?? '2s')),
    prefetch: options.prefetch ?? 0,
    sweepEvery: milliseconds(options.sweepEvery ?? '3s'),
    stopTimeout: milliseconds((env.ASYNC_WORKER_STOP_TIMEOUT as Duration) || (options.stopTimeout ?? '20s')),
    crontab: options.crontab ?? '',
    retention: options.retention !== false && keepFor(options.retention ?? {}),
    health: address(env.ASYNC_WORKER_HEALTH || options.health),
    log: logFormat(env.ASYNC_WORKER_LOG || options.log),
    once: env.ASYNC_WORKER_ONCE ? env.ASYNC_WORKER_ONCE === '1' : (options.once ?? false),
    logger: options.logger,
  }
}

function count(text: string | undefined, name: string): number | undefined {
  if (!text) return undefined
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new AsyncGenError('INVALID_SETTING', `${name} is ${JSON.stringify(text)}. It has to be a whole number from 1.`)
}

function logFormat(given: string | undefined): LogFormat | undefined {
  if (given === undefined || given === 'pretty' || given === 'json') return given
  throw new AsyncGenError('INVALID_SETTING', `The log is ${JSON.stringify(given)}. It has to be pretty or json.`)
}

function address(given: number | string | undefined): Address | undefined {
  if (given === undefined) return undefined
  const [, host = '127.0.0.1', port] = /^(?:\[?([^\]]+)\]?:)?(\d{1,5})$/.exec(String(given)) ?? []
  if (port !== undefined && Number(port) <= 65535) return { host, port: Number(port) }
  throw new AsyncGenError(
    'INVALID_SETTING',
    `The health address is ${JSON.stringify(given)}. It has to be a port such as 9394, or an address such as 0.0.0.0:9394.`,
  )
}
