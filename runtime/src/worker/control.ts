import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AsyncGenError } from '../errors.js'

/** Where the daemons of a host leave their traces. Absolute paths. */
export interface Places {
  /** Process ids: async-worker.1.pid */
  pids: string
  /** What they print: async-worker.1.log */
  logs: string
}

/** A worker that was started in the background. */
export interface Daemon {
  uid: string
  pid: number
  /** `dead`: it ended without being stopped, and its pid file is still there. */
  state: 'running' | 'dead'
  log: string
}

export interface StartOptions {
  places: Places
  /** What to run, after the path of Node itself. */
  command: string[]
  env: NodeJS.ProcessEnv
  /** How long it may take until it is at work, in milliseconds. */
  patience: number
}

/**
 * Starts a worker in the background, and waits until it is at work.
 * @throws AsyncGenError ALREADY_RUNNING, or NOT_STARTED with the last lines of its log
 */
export async function start(uid: string, { places, command, env, patience }: StartOptions): Promise<Daemon> {
  mkdirSync(places.pids, { recursive: true })
  mkdirSync(places.logs, { recursive: true })
  const running = find(uid, places)
  if (running?.state === 'running') {
    throw new AsyncGenError('ALREADY_RUNNING', `Worker ${uid} is running already, as process ${running.pid}.`)
  }
  if (running) rmSync(pidFile(uid, places))
  const log = openSync(logFile(uid, places), 'a')
  const child = spawn(process.execPath, command, { detached: true, env, stdio: ['ignore', log, log, 'ipc'] })
  closeSync(log)
  try {
    writeFileSync(pidFile(uid, places), `${child.pid}\n`, { flag: 'wx' })
  } catch (error) {
    child.kill('SIGKILL')
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new AsyncGenError('ALREADY_RUNNING', `Worker ${uid} was started by somebody else at this moment.`)
  }

  const outcome = await Promise.race([firstWord(child), sleep(patience, 'silent' as const, { ref: false })])
  if (outcome === 'ended') {
    rmSync(pidFile(uid, places), { force: true })
    throw new AsyncGenError(
      'NOT_STARTED',
      `Worker ${uid} ended at once. The end of ${logFile(uid, places)}:\n${tail(uid, places)}`,
    )
  }
  child.disconnect()
  child.unref()
  if (outcome === 'silent') {
    throw new AsyncGenError(
      'NOT_STARTED',
      `Worker ${uid} was started as process ${child.pid}, but is not at work after ${patience / 1000} s. See ${logFile(uid, places)}`,
    )
  }
  return { uid, pid: child.pid!, state: 'running', log: logFile(uid, places) }
}

/**
 * Tells a worker to stop and waits until it has.
 * @returns what it was; undefined where no such worker was started
 * @throws AsyncGenError NOT_STOPPED where it still runs after `patience` milliseconds
 */
export async function stop(uid: string, places: Places, patience: number): Promise<Daemon | undefined> {
  const daemon = find(uid, places)
  if (!daemon) return undefined
  if (daemon.state === 'running') {
    process.kill(daemon.pid, 'SIGTERM')
    for (const end = Date.now() + patience; isWorker(daemon.pid); await sleep(50)) {
      if (Date.now() < end) continue
      throw new AsyncGenError(
        'NOT_STOPPED',
        `Worker ${uid}, process ${daemon.pid}, still runs after ${patience / 1000} s.`,
      )
    }
  }
  rmSync(pidFile(uid, places), { force: true })
  return daemon
}

/** The workers that were started and not stopped. */
export function list(places: Places): Daemon[] {
  if (!existsSync(places.pids)) return []
  const uids = readdirSync(places.pids).flatMap((file) => /^async-worker\.(.+)\.pid$/.exec(file)?.[1] ?? [])
  return uids.sort((a, z) => a.localeCompare(z, 'en', { numeric: true })).flatMap((uid) => find(uid, places) ?? [])
}

function find(uid: string, places: Places): Daemon | undefined {
  const file = pidFile(uid, places)
  if (!existsSync(file)) return undefined
  const pid = Number.parseInt(readFileSync(file, 'utf8'), 10)
  return { uid, pid, state: isWorker(pid) ? 'running' : 'dead', log: logFile(uid, places) }
}

/** Whether the process is there, and is not another one that was given the number of a dead worker. */
function isWorker(pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  try {
    const [, state] = /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return state !== 'Z' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('async-worker')
  } catch {
    // There is no /proc here; a process of that number is all that can be known.
    return true
  }
}

function firstWord(child: ChildProcess): Promise<'ready' | 'ended'> {
  return new Promise((resolve) => {
    child.once('message', () => resolve('ready'))
    child.once('exit', () => resolve('ended'))
    child.once('error', () => resolve('ended'))
  })
}

function tail(uid: string, places: Places): string {
  return readFileSync(logFile(uid, places), 'utf8').trimEnd().split('\n').slice(-10).join('\n')
}

function pidFile(uid: string, { pids }: Places): string {
  return join(pids, `async-worker.${uid}.pid`)
}

function logFile(uid: string, { logs }: Places): string {
  return join(logs, `async-worker.${uid}.log`)
}
