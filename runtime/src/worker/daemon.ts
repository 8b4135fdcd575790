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

/** The folders for the files of daemons. Absolute paths. */
export interface DaemonFolders {
  /** Process ids: async-gen-worker.1.pid */
  pids: string
  /** Their output: async-gen-worker.1.log */
  logs: string
}

/** A worker that was started in the background. */
export interface Daemon {
  uid: string
  /** Absent if its pid file is invalid. */
  pid?: number
  /** `dead`: it ended without `stop`, so that its pid file still exists, or its pid file is invalid. */
  state: 'running' | 'dead'
  log: string
}

/** How a worker was started, so that `restart` can repeat it. */
export interface LaunchSettings {
  /** The worker module. */
  module: string
  /** Environment variables. */
  settings: Record<string, string>
}

export interface StartOptions {
  folders: DaemonFolders
  launch: LaunchSettings
  /** The arguments of Node before the worker module. */
  command: string[]
  /** How long it may take until it processes jobs, in milliseconds. */
  timeout: number
}

/**
 * Starts a worker in the background, and waits until it processes jobs.
 * @throws AsyncGenError ALREADY_RUNNING, or NOT_STARTED with the last lines of its log
 */
export async function start(uid: string, { folders, launch, command, timeout }: StartOptions): Promise<Daemon> {
  mkdirSync(folders.pids, { recursive: true })
  mkdirSync(folders.logs, { recursive: true })
  const running = find(uid, folders)
  if (running?.state === 'running') {
    throw new AsyncGenError('ALREADY_RUNNING', `Worker ${uid} already runs, as process ${running.pid}.`)
  }
  if (running) removeStale(uid, folders)
  const log = openSync(logFile(uid, folders), 'a')
  const child = spawn(process.execPath, [...command, launch.module], {
    detached: true,
    env: { ...process.env, ...launch.settings },
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log)
  try {
    const entry: PidFileEntry = { ...launch, ticks: ticksOf(child.pid!) }
    createFile(pidFile(uid, folders), `${child.pid}\n${JSON.stringify(entry)}\n`)
  } catch (error) {
    child.kill('SIGKILL')
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new AsyncGenError('ALREADY_RUNNING', `Worker ${uid} is being started by another process.`)
  }

  const outcome = await Promise.race([readyOrEnded(child), sleep(timeout, 'timeout' as const, { ref: false })])
  if (outcome === 'ended') {
    rmSync(pidFile(uid, folders), { force: true })
    throw new AsyncGenError(
      'NOT_STARTED',
      `Worker ${uid} ended before it was ready. The last lines of ${logFile(uid, folders)}:\n${tail(uid, folders)}`,
    )
  }
  child.disconnect()
  child.unref()
  if (outcome === 'timeout') {
    throw new AsyncGenError(
      'NOT_STARTED',
      `Worker ${uid} was started as process ${child.pid}, but is not ready after ${timeout / 1000} s. See ${logFile(uid, folders)}`,
    )
  }
  return { uid, pid: child.pid!, state: 'running', log: logFile(uid, folders) }
}

/**
 * Sends SIGTERM to a worker and waits until it has ended.
 * @param timeout milliseconds
 * @returns its state before; undefined if no such worker was started
 * @throws AsyncGenError NOT_STOPPED if it still runs after the timeout
 */
export async function stop(uid: string, folders: DaemonFolders, timeout: number): Promise<Daemon | undefined> {
  const daemon = find(uid, folders)
  if (!daemon) return undefined
  if (daemon.state === 'running') {
    terminate(daemon.pid!)
    for (const end = Date.now() + timeout; find(uid, folders)?.state === 'running'; await sleep(50)) {
      if (Date.now() < end) continue
      throw new AsyncGenError(
        'NOT_STOPPED',
        `Worker ${uid} (process ${daemon.pid}) still runs after ${timeout / 1000} s. Wait longer with --timeout, or end the process.`,
      )
    }
  }
  rmSync(pidFile(uid, folders), { force: true })
  return daemon
}

/** The workers that were started and not stopped. Files with other names are ignored. */
export function list(folders: DaemonFolders): Daemon[] {
  if (!existsSync(folders.pids)) return []
  const files = readdirSync(folders.pids, { withFileTypes: true }).filter((entry) => !entry.isDirectory())
  const uids = files.flatMap(({ name }) => PID_FILE.exec(name)?.[1] ?? [])
  return [...new Set(uids)]
    .sort((a, z) => a.localeCompare(z, 'en', { numeric: true }))
    .flatMap((uid) => find(uid, folders) ?? [])
}

/** The lowest number that no running worker has. */
export function nextNumber(folders: DaemonFolders): string {
  const taken = new Set(list(folders).flatMap(({ uid, state }) => (state === 'running' ? uid : [])))
  for (let number = 1; ; number++) if (!taken.has(`${number}`)) return `${number}`
}

/** Whether a text can be the name of a worker, which is a part of file names. */
export function isUid(text: string): boolean {
  return /^[\w-]{1,64}$/.test(text)
}

/** Which of the folders git does not ignore; none if this is not a git work tree. */
export function unignored({ pids, logs }: DaemonFolders): string[] {
  const file = (folder: string) => join(folder, `${NAMES[0]}.1`)
  // 0: ignored, 1: not ignored, 128: not a work tree.
  const isTracked = (folder: string) =>
    spawnSync('git', ['check-ignore', '-q', file(folder)], { cwd: folder }).status === 1
  return [...new Set([logs, pids])].filter(isTracked)
}

/** How a worker was started; undefined if none was started under that name. */
export function launchSettingsOf(uid: string, folders: DaemonFolders): LaunchSettings | undefined {
  return read(pidFile(uid, folders))?.entry
}

/** The second line of a pid file. */
interface PidFileEntry extends LaunchSettings {
  /** When the process began, in clock ticks since boot. A later process with the same pid has another value. */
  ticks: string | undefined
}

function find(uid: string, folders: DaemonFolders): Daemon | undefined {
  const found = read(pidFile(uid, folders))
  if (!found) return undefined
  const { pid, entry } = found
  const running = pid !== undefined && entry !== undefined && isRunning(pid) && ticksOf(pid) === entry.ticks
  const log = logFile(uid, folders)
  return { uid, ...(pid !== undefined && { pid }), state: running ? 'running' : 'dead', log }
}

/** The maximum size of a pid file, in bytes. */
const MAX_PID_FILE = 65_536

/**
 * The content of a pid file; undefined if there is none. An invalid one (empty, truncated, overwritten, a link or a pipe) has no pid.
 * @throws AsyncGenError PID_FILE for a folder
 */
function read(file: string): { text?: string; pid?: number; entry?: PidFileEntry } | undefined {
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (!stat) return undefined
  if (stat.isDirectory())
    throw new AsyncGenError('PID_FILE', `${file} is a folder, where a pid file should be. Remove it.`)
  if (!stat.isFile() || stat.size > MAX_PID_FILE) return {}
  const text = readFileSync(file, 'utf8')
  const [first = '', second = ''] = text.split('\n')
  const pid = /^[1-9]\d{0,9}$/.test(first) ? Number(first) : undefined
  const entry = parseEntry(second)
  return { text, ...(pid !== undefined && entry && { pid, entry }) }
}

function parseEntry(text: string): PidFileEntry | undefined {
  try {
    const { module, settings, ticks } = JSON.parse(text)
    if (!isText(module) || typeof settings !== 'object' || settings === null) return undefined
    if (ticks !== undefined && !isText(ticks)) return undefined
    // `start` sets no other variables.
    const ours = Object.entries(settings).filter(([name, value]) => /^ASYNC_WORKER_\w+$/.test(name) && isText(value))
    return { module, settings: Object.fromEntries(ours) as Record<string, string>, ticks }
  } catch {
    return undefined
  }
}

/** Arguments and environment of a process cannot contain U+0000. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0')
}

/** Creates a file atomically with its content. Throws EEXIST if it exists. */
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

/** Removes the pid file of a dead worker, unless another `start` has replaced it meanwhile. */
function removeStale(uid: string, folders: DaemonFolders): void {
  const file = pidFile(uid, folders)
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
    // It has ended meanwhile.
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

/** Undefined for a zombie process, and on systems without /proc. */
function ticksOf(pid: number): string | undefined {
  try {
    // The second field, a name in parentheses, may contain spaces and parentheses.
    const [state, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return state === 'Z' ? undefined : fields[18]
  } catch {
    return undefined
  }
}

function readyOrEnded(child: ChildProcess): Promise<'ready' | 'ended'> {
  return new Promise((resolve) => {
    child.once('message', () => resolve('ready'))
    child.once('exit', () => resolve('ended'))
    child.once('error', () => resolve('ended'))
  })
}

function tail(uid: string, folders: DaemonFolders): string {
  return readFileSync(logFile(uid, folders), 'utf8').trimEnd().split('\n').slice(-10).join('\n')
}

/** The name of the command, and its name in 0.1.0, whose workers may still run. */
const NAMES = ['async-gen-worker', 'async-worker'] as const

const PID_FILE = /^async-(?:gen-)?worker\.([\w-]{1,64})\.pid$/

function pidFile(uid: string, folders: DaemonFolders): string {
  return join(folders.pids, `${nameOf(uid, folders)}.${uid}.pid`)
}

function logFile(uid: string, folders: DaemonFolders): string {
  return join(folders.logs, `${nameOf(uid, folders)}.${uid}.log`)
}

function nameOf(uid: string, { pids }: DaemonFolders): string {
  if (!isUid(uid))
    throw new AsyncGenError(
      'INVALID_UID',
      `${JSON.stringify(uid)} cannot be the name of a worker. Use up to 64 letters, digits, - and _.`,
    )
  return NAMES.find((name) => existsSync(join(pids, `${name}.${uid}.pid`))) ?? NAMES[0]
}
