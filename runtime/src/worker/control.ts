import { type ChildProcess, spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AsyncGenError } from '../errors.js'

/** Where the daemons of a host leave their traces. Absolute paths. */
export interface Places {
  /** Process ids: async-gen-worker.1.pid */
  pids: string
  /** What they print: async-gen-worker.1.log */
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

/** What a worker was started with, so that it can be started again. */
export interface Job {
  /** The worker module. */
  module: string
  /** What the environment says to it. */
  settings: Record<string, string>
}

export interface StartOptions {
  places: Places
  job: Job
  /** What runs the module, after the path of Node itself: the module comes last. */
  command: string[]
  /** How long it may take until it is at work, in milliseconds. */
  patience: number
}

/**
 * Starts a worker in the background, and waits until it is at work.
 * @throws AsyncGenError ALREADY_RUNNING, or NOT_STARTED with the last lines of its log
 */
export async function start(uid: string, { places, job, command, patience }: StartOptions): Promise<Daemon> {
  mkdirSync(places.pids, { recursive: true })
  mkdirSync(places.logs, { recursive: true })
  const running = find(uid, places)
  if (running?.state === 'running') {
    throw new AsyncGenError('ALREADY_RUNNING', `Worker ${uid} is running already, as process ${running.pid}.`)
  }
  if (running) removeStale(running, places)
  const log = openSync(logFile(uid, places), 'a')
  const child = spawn(process.execPath, [...command, job.module], {
    detached: true,
    env: { ...process.env, ...job.settings },
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log)
  try {
    const note: Note = { ...job, ticks: ticksOf(child.pid!) }
    writeFileSync(pidFile(uid, places), `${child.pid}\n${JSON.stringify(note)}\n`, { flag: 'wx' })
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
    for (const end = Date.now() + patience; find(uid, places)?.state === 'running'; await sleep(50)) {
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
  const uids = readdirSync(places.pids).flatMap((file) => /^async-gen-worker\.(.+)\.pid$/.exec(file)?.[1] ?? [])
  return uids.sort((a, z) => a.localeCompare(z, 'en', { numeric: true })).flatMap((uid) => find(uid, places) ?? [])
}

/** What a worker was started with; undefined where none was started under that name. */
export function jobOf(uid: string, places: Places): Job | undefined {
  return read(uid, places)?.note
}

/** The pid file's second line. */
interface Note extends Job {
  /** When the process began, as its system counts: another process that is given the same number has begun later. */
  ticks: string | undefined
}

function find(uid: string, places: Places): Daemon | undefined {
  const found = read(uid, places)
  if (!found) return undefined
  const { pid, note } = found
  const running = note !== undefined && isRunning(pid) && ticksOf(pid) === note.ticks
  return { uid, pid, state: running ? 'running' : 'dead', log: logFile(uid, places) }
}

function read(uid: string, places: Places): { pid: number; note: Note | undefined } | undefined {
  const file = pidFile(uid, places)
  if (!existsSync(file)) return undefined
  const [pid, note] = readFileSync(file, 'utf8').split('\n')
  return { pid: Number.parseInt(pid!, 10), note: note ? JSON.parse(note) : undefined }
}

/** Takes the file of a dead worker away, and nobody else's: who starts the same worker at this moment may have been faster. */
function removeStale({ uid, pid }: Daemon, places: Places): void {
  const file = pidFile(uid, places)
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
  } catch {
    return
  }
  if (Number.parseInt(readFileSync(aside, 'utf8'), 10) !== pid) linkSync(aside, file)
  rmSync(aside)
}

function isRunning(pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Undefined for a process that has ended, though its parent has not noticed, and where there is no /proc. */
function ticksOf(pid: number): string | undefined {
  try {
    // The second field, a name in parentheses, may hold anything.
    const [state, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return state === 'Z' ? undefined : fields[18]
  } catch {
    return undefined
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
  return join(pids, `async-gen-worker.${uid}.pid`)
}

function logFile(uid: string, { logs }: Places): string {
  return join(logs, `async-gen-worker.${uid}.log`)
}
