import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describePause, type PauseRow } from '../attempt/pause-store.js'
import { findWorkerModule } from '../worker/module.js'

/** How long the process may take that reads the pauses, in milliseconds. */
const TIMEOUT = 10_000

/** A pause as JSON. */
interface PauseJson extends Omit<PauseRow, 'until' | 'since'> {
  until: string | null
  since: string
}

/**
 * The pauses in force, read by a process of its own: the module database.ts of the host may end its process, print anything, or never
 * return. Undefined if they cannot be read.
 *
 * @param self this program's file
 * @param worker the module of a worker that was started; default: the one in the usual folders
 */
export async function readPauses(self: string, worker: string | undefined): Promise<PauseJson[] | undefined> {
  try {
    const module = findWorkerModule(process.cwd(), worker)
    const args = [...process.execArgv, self, 'attempts', 'pauses', '--json', '--worker', module]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: TIMEOUT, killSignal: 'SIGKILL' })
    return JSON.parse(stdout).pauses
  } catch {
    return undefined
  }
}

export function pauseLines(pauses: readonly PauseJson[] = []): string[] {
  return pauses.map(({ until, since, ...pause }) => {
    return `${describePause({ ...pause, until: until === null ? null : new Date(until), since: new Date(since) })}.`
  })
}
