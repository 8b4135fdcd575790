import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../runtime/src/testing/free-port.js'
import { eventually } from '../../support/eventually.js'
import { childEnv } from '../../support/run.js'

/** How long a worker may take for what takes a second on an idle machine, in milliseconds. */
const LIMIT = 120_000

/** How long a worker may take to end once it is told to, in milliseconds: its own limit is 20 s, and 15 s for what follows. */
const STOP_LIMIT = 60_000

/** A worker process. Each is started by the command that the runtime's package names in `bin`. */
export interface Worker {
  pid: number
  port: number
  /** `ended`: by itself, which nobody asked for. */
  state: 'running' | 'killed' | 'told to stop' | 'stopped' | 'ended'
  /** Whether it was ready at least once. */
  wasReady: boolean
  exitCode: number | null
  /** When it was killed, by the clock that PostgreSQL on this machine has too. */
  killedAt?: Date
  /** What it has printed on both streams. */
  log: string
  process: ChildProcess
  /** Resolves when it has ended and all that it printed is in `log`. */
  closed: Promise<void>
}

/** Workers under a supervisor that replaces each one that ends, as systemd or Kubernetes would. */
export class Fleet {
  /** All that were ever started. */
  readonly workers: Worker[] = []
  readonly #host: string
  readonly #env: Record<string, string>
  readonly #command: string
  /** Of the modules: a host may be compiled. */
  readonly #extension: string
  #supervised = true
  #started = 0

  /** @param host the folder of an application with `install` and `attempt`, and the files of test/hosts/chaos */
  constructor(host: string, env: Record<string, string>) {
    this.#host = host
    this.#env = env
    this.#command = workerCommand(host)
    this.#extension = existsSync(join(host, 'src/async/worker.js')) ? '.js' : '.ts'
  }

  get running(): Worker[] {
    return this.workers.filter(({ state }) => state === 'running')
  }

  /** Starts a worker, every second one with prefetched jobs, and does not wait for it. */
  async launch(): Promise<Worker> {
    const module = `src/async/${this.#started++ % 2 === 0 ? 'worker' : 'worker-prefetch'}${this.#extension}`
    const port = await freePort()
    const args = [this.#command, 'run', module, '--concurrency', '10', '--health', String(port), '--log', 'json']
    const child = spawn(process.execPath, args, {
      cwd: this.#host,
      env: childEnv(this.#env),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const worker: Worker = {
      pid: child.pid!,
      port,
      state: 'running',
      wasReady: false,
      exitCode: null,
      log: '',
      process: child,
      closed: once(child, 'close').then(() => {}),
    }
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        worker.log += text
      })
    }
    const orphaned = () => child.kill('SIGKILL')
    process.once('exit', orphaned)
    child.once('close', (code) => {
      process.off('exit', orphaned)
      worker.exitCode = code
      if (worker.state === 'told to stop') worker.state = 'stopped'
      if (worker.state === 'running') worker.state = 'ended'
      if (this.#supervised && worker.state !== 'stopped') void this.#replace()
    })
    this.workers.push(worker)
    return worker
  }

  /** Starts workers and waits until they are ready. */
  async start(count: number): Promise<Worker[]> {
    const started = await Promise.all(Array.from({ length: count }, () => this.launch()))
    await this.untilReady(count)
    return started
  }

  /** Waits until so many workers answer that they are ready. */
  async untilReady(count: number): Promise<void> {
    await eventually(
      `${count} ready workers`,
      async () => {
        const answers = await Promise.all(this.running.map((worker) => readiness(worker)))
        return answers.filter((status) => status === 200).length >= count
      },
      LIMIT,
    ).catch((error: Error) => {
      throw new Error(`${error.message} Their last lines:\n${this.running.map(lastLine).join('\n')}`)
    })
  }

  /** Ends workers as a power failure would. Their successors are started at once. */
  async kill(...workers: Worker[]): Promise<void> {
    for (const worker of workers) {
      worker.state = 'killed'
      worker.killedAt = new Date()
      worker.process.kill('SIGKILL')
    }
    await Promise.all(workers.map(({ closed }) => closed))
  }

  /** Tells workers to stop, and returns those that did not within the limit: they are killed. */
  async stop(...workers: Worker[]): Promise<Worker[]> {
    for (const worker of workers) {
      worker.state = 'told to stop'
      worker.process.kill('SIGTERM')
    }
    const late: Worker[] = []
    await Promise.all(
      workers.map(async (worker) => {
        const inTime = await Promise.race([worker.closed.then(() => true), sleep(STOP_LIMIT, false, { ref: false })])
        if (inTime) return
        late.push(worker)
        worker.process.kill('SIGKILL')
        await worker.closed
      }),
    )
    return late
  }

  /** Starts no more workers in place of those that end. */
  release(): void {
    this.#supervised = false
  }

  /** Ends all that still run, whatever state they are in. */
  async clear(): Promise<void> {
    this.release()
    for (const { process } of this.workers) process.kill('SIGKILL')
    await Promise.all(this.workers.map(({ closed }) => closed))
  }

  async #replace(): Promise<void> {
    await sleep(500)
    if (this.#supervised) await this.launch()
  }
}

/** What `/readyz` answers: a status, or undefined where there is no answer within five seconds. */
export async function readiness(worker: Worker): Promise<number | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${worker.port}/readyz`, { signal: AbortSignal.timeout(5000) })
    await response.text()
    if (response.status === 200) worker.wasReady = true
    return response.status
  } catch {
    return undefined
  }
}

export function lastLine({ log }: Worker): string {
  return log.trimEnd().split('\n').at(-1) ?? ''
}

/** What a process that ended by itself gives as its reason in its last line: a line of the log; before it was ready, a sentence too. */
export function reasonOf(worker: Worker): string | undefined {
  const line = lastLine(worker)
  try {
    const { level, message } = JSON.parse(line)
    return level === 'error' && message ? message : undefined
  } catch {
    const sentence = /^\w/.test(line) && !line.startsWith('Node.js v')
    return sentence && !worker.wasReady ? line : undefined
  }
}

/** The file behind the worker's command, whatever its name. */
function workerCommand(host: string): string {
  const file = createRequire(join(host, 'package.json')).resolve('@async-gen/runtime/package.json')
  const { bin } = JSON.parse(readFileSync(file, 'utf8'))
  const [path] = typeof bin === 'string' ? [bin] : (Object.values(bin) as string[])
  return join(dirname(file), path!)
}
