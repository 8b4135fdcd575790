import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { childEnv } from './run.js'

export interface WorkerProcess {
  pid: number
  /** All that it has printed so far. */
  log: () => string
  /** Sends a signal: SIGKILL is a crash. */
  kill: (signal: NodeJS.Signals) => void
  /** Resolves with the exit code when it has ended; null where a signal ended it. */
  exited: Promise<number | null>
  /** Ends it as a supervisor would, with SIGTERM, and returns its exit code; after a minute it is killed (null). */
  stop: () => Promise<number | null>
}

/**
 * Starts the host's worker as a process of its own: what `npm run async:worker` runs, without npm in between.
 *
 * @param within a command that runs another one: `['ip', 'netns', 'exec', 'there']`
 */
export function startWorker(
  dir: string,
  env: Record<string, string>,
  file = 'src/async/worker.ts',
  within: string[] = [],
): WorkerProcess {
  const [command, ...args] = [...within, process.execPath, ...(file.endsWith('.ts') ? ['--import', 'tsx'] : []), file]
  const worker = spawn(command!, args, {
    cwd: dir,
    env: childEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const stream of [worker.stdout, worker.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
  }
  const killed = () => worker.kill('SIGKILL')
  process.once('exit', killed)
  const exited = once(worker, 'exit').then(() => {
    process.off('exit', killed)
    return worker.exitCode
  })

  const stop = async () => {
    worker.kill('SIGTERM')
    await Promise.race([exited, sleep(60_000, undefined, { ref: false })])
    worker.kill('SIGKILL')
    return await exited
  }
  return { pid: worker.pid!, log: () => log, kill: (signal) => void worker.kill(signal), exited, stop }
}
