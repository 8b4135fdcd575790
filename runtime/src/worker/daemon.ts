import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
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
import { AsyncGenError } from '../core/errors.js'

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
  /** Missing where its pid file cannot be read. */
  pid?: number
  /** `dead`: it ended without being stopped, and its pid file is still there, or what is there is no pid file. */
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
  if (running) removeStale(uid, places)
  const log = openSync(logFile(uid, places), 'a')
  const child = spawn(process.execPath, [...command, job.module], {
    detached: true,
    env: { ...process.env, ...job.settings },
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log)
  try {
    const note: Note = { ...job, ticks: ticksOf(child.pid!) }
    createFile(pidFile(uid, places), `${child.pid}\n${JSON.stringify(note)}\n`)
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
    terminate(daemon.pid!)
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

/** The workers that were started and not stopped. Files with other names are nobody's. */
export function list(places: Places): Daemon[] {
  if (!existsSync(places.pids)) return []
  const files = readdirSync(places.pids, { withFileTypes: true }).filter((entry) => !entry.isDirectory())
  const uids = files.flatMap(({ name }) => PID_FILE.exec(name)?.[1] ?? [])
  return [...new Set(uids)]
    .sort((a, z) => a.localeCompare(z, 'en', { numeric: true }))
    .flatMap((uid) => find(uid, places) ?? [])
}

/** The lowest number that no running worker has. */
export function nextNumber(places: Places): string {
  const taken = new Set(list(places).flatMap(({ uid, state }) => (state === 'running' ? uid : [])))
  for (let number = 1; ; number++) if (!taken.has(`${number}`)) return `${number}`
}

/** Whether it can be the name of a worker: it is a part of file names. */
export function isUid(text: string): boolean {
  return /^[\w-]{1,64}$/.test(text)
}

/** Which of the folders git would take for a part of the project; none where there is no git. */
export function unignored({ pids, logs }: Places): string[] {
  const file = (folder: string) => join(folder, `${NAMES[0]}.1`)
  // 0: ignored, 1: not ignored, 128: this is no work tree.
  const isSeen = (folder: string) =>
    spawnSync('git', ['check-ignore', '-q', file(folder)], { cwd: folder }).status === 1
  return [...new Set([logs, pids])].filter(isSeen)
}

/** What a worker was started with; undefined where none was started under that name. */
export function jobOf(uid: string, places: Places): Job | undefined {
  return read(pidFile(uid, places))?.note
}

/** The pid file's second line. */
interface Note extends Job {
  /** When the process began, as its system counts: another process that is given the same number has begun later. */
  ticks: string | undefined
}

function find(uid: string, places: Places): Daemon | undefined {
  const found = read(pidFile(uid, places))
  if (!found) return undefined
  const { pid, note } = found
  const running = pid !== undefined && note !== undefined && isRunning(pid) && ticksOf(pid) === note.ticks
  const log = logFile(uid, places)
  return { uid, ...(pid !== undefined && { pid }), state: running ? 'running' : 'dead', log }
}

/** No pid file of ours is longer, in bytes. */
const MAX_PID_FILE = 65_536

/**
 * What a pid file says; undefined where there is none. One that is empty, cut or overwritten, or no file at all but a link or a pipe,
 * says nothing.
 */
function read(file: string): { text?: string; pid?: number; note?: Note } | undefined {
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (!stat) return undefined
  if (stat.isDirectory())
    throw new AsyncGenError('PID_FILE', `${file} is a folder. It should be a pid file: remove it.`)
  if (!stat.isFile() || stat.size > MAX_PID_FILE) return {}
  const text = readFileSync(file, 'utf8')
  const [first = '', second = ''] = text.split('\n')
  const pid = /^[1-9]\d{0,9}$/.test(first) ? Number(first) : undefined
  const note = noteOf(second)
  return { text, ...(pid !== undefined && note && { pid, note }) }
}

function noteOf(text: string): Note | undefined {
  try {
    const { module, settings, ticks } = JSON.parse(text)
    if (!isText(module) || typeof settings !== 'object' || settings === null) return undefined
    if (ticks !== undefined && !isText(ticks)) return undefined
    // Of the environment of a worker, `start` sets only these.
    const ours = Object.entries(settings).filter(([name, value]) => /^ASYNC_WORKER_\w+$/.test(name) && isText(value))
    return { module, settings: Object.fromEntries(ours) as Record<string, string>, ticks }
  } catch {
    return undefined
  }
}

/** Neither arguments nor environment of a process may hold U+0000. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0')
}

/** Creates a file that is whole from the first moment. Fails with EEXIST where there is one. */
function createFile(file: string, text: string): void {
  const temporary = `${file}.${process.pid}`
  rmSync(temporary, { force: true })
  writeFileSync(temporary, text, { flag: 'wx' })
  try {
    linkSync(temporary, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error
    // A file system without hard links.
    writeFileSync(file, text, { flag: 'wx' })
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** Removes the file of a dead worker, and no other: a `start` of the same worker at this moment may have been faster. */
function removeStale(uid: string, places: Places): void {
  const file = pidFile(uid, places)
  const aside = `${file}.${process.pid}`
  const before = read(file)?.text
  try {
    renameSync(file, aside)
  } catch {
    return
  }
  if (read(aside)?.text !== before) linkSync(aside, file)
  rmSync(aside)
}

function terminate(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch (error) {
    // It has ended by itself meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
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

/** The first name is ours; the second one is that of 0.1.0, whose workers may still run. */
const NAMES = ['async-gen-worker', 'async-worker'] as const

const PID_FILE = /^async-(?:gen-)?worker\.([\w-]{1,64})\.pid$/

function pidFile(uid: string, places: Places): string {
  return join(places.pids, `${nameOf(uid, places)}.${uid}.pid`)
}

function logFile(uid: string, places: Places): string {
  return join(places.logs, `${nameOf(uid, places)}.${uid}.log`)
}

function nameOf(uid: string, { pids }: Places): string {
  if (!isUid(uid)) throw new AsyncGenError('INVALID_UID', `${JSON.stringify(uid)} cannot be the name of a worker.`)
  return NAMES.find((name) => existsSync(join(pids, `${name}.${uid}.pid`))) ?? NAMES[0]
}
