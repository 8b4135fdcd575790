import { execFile } from 'node:child_process'
import { hostname } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { promisify } from 'node:util'
import { isAsyncGenError } from '../core/errors.js'
import type { WorkerInfo } from '../core/living-workers.js'
import { printable } from '../core/printable.js'
import { timeText } from '../core/time-text.js'
import type { Daemon } from '../worker/daemon.js'
import { findWorkerModule } from '../worker/module.js'
import { limitLine, type ShownLimit } from './attempts/limits.js'
import { lineOf, type ShownPause } from './attempts/pause.js'

/** How long the process may take that reads the database, in milliseconds. */
const TIMEOUT = 15_000

/** What the database knows: the workers that are alive, on all machines, the pauses in force, and what the limits hold back. */
export interface DatabaseStatus {
  alive: LivingWorker[]
  pauses: ShownPause[]
  limits: ShownLimit[]
}

/** A worker that is alive. */
export interface LivingWorker extends Pick<WorkerInfo, 'id' | 'host' | 'pid' | 'startedAt' | 'version'> {
  /** The name of its pid file in this folder; null if it was started otherwise or elsewhere. */
  uid: string | null
}

/** Why the database could not be read. */
export interface DatabaseProblem {
  code: string
  message: string
}

/**
 * Reads the database in a process of its own: the module database.ts of the host may end its process, print anything, or never return.
 *
 * @param self this program's file
 * @param worker the module of a worker that was started; default: the one in the usual folders
 */
export async function readDatabase(
  self: string,
  worker: string | undefined,
  daemons: readonly Daemon[],
): Promise<DatabaseStatus | { error: DatabaseProblem }> {
  const answer = await askProcess(self, worker)
  if ('error' in answer) return answer
  const uidOf = ({ host, pid }: LivingWorker) =>
    (host === hostname() && daemons.find((daemon) => daemon.pid === pid && daemon.state === 'running')?.uid) || null
  return {
    alive: answer.alive.map((each) => ({ ...each, startedAt: new Date(each.startedAt), uid: uidOf(each) })),
    pauses: answer.pauses.map((pause) => ({
      ...pause,
      until: pause.until && new Date(pause.until),
      since: new Date(pause.since),
    })),
    limits: answer.limits.map((limit) => ({
      ...limit,
      keys: limit.keys.map((key) => ({ ...key, nextStartAt: key.nextStartAt && new Date(key.nextStartAt) })),
    })),
  }
}

async function askProcess(
  self: string,
  worker: string | undefined,
): Promise<DatabaseStatus | { error: DatabaseProblem }> {
  try {
    const module = findWorkerModule(process.cwd(), worker)
    const program = join(dirname(self), `read-database${extname(self)}`)
    const args = [...process.execArgv, program, module]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: TIMEOUT, killSignal: 'SIGKILL' })
    return JSON.parse(stdout)
  } catch (thrown) {
    return { error: problemOf(thrown) }
  }
}

function problemOf(thrown: unknown): DatabaseProblem {
  if (isAsyncGenError(thrown)) return { code: thrown.code, message: thrown.message }
  const { killed, message } = Object(thrown)
  return killed
    ? { code: 'DATABASE_UNREACHABLE', message: `There was no answer within ${TIMEOUT / 1000} s.` }
    : { code: 'INTERNAL', message: String(message).trim().split('\n').at(-1)! }
}

export function aliveLines(alive: readonly LivingWorker[]): string[] {
  if (alive.length === 0) return ['No worker is alive in this database.']
  const lines = alive.map(({ id, host, pid, startedAt, version, uid }) => {
    const own = uid === null ? '' : `, worker ${uid} of this folder`
    return `  ${id}  ${printable(host, 100)}, process ${pid}, since ${timeText(startedAt)}, version ${printable(version, 40)}${own}`
  })
  return ['Alive in this database:', ...lines]
}

/** The limits that have calls now. */
export function limitLines(limits: readonly ShownLimit[]): string[] {
  return limits.filter(({ running, waiting }) => running + waiting > 0).map(limitLine)
}

export function pauseLines(pauses: readonly ShownPause[]): string[] {
  return pauses.map(lineOf)
}
