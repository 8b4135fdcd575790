import { statSync } from 'node:fs'
import { join } from 'node:path'
import { basename, dirname } from 'node:path/posix'
import { ConflictError, HostError } from '../host/errors.js'
import { isHostPath, isUnder, readText, realFolder } from '../host/files.js'
import { RECORDS } from './manifest.js'

export const JOURNAL = `${RECORDS}/journal.json`

/**
 * The steps of a commit, on the disk while the commit runs. A run that is killed (`kill -9`, a power cut) leaves it behind.
 * The next run then rolls the commit back if it was not `ready`, and finishes it if it was.
 */
export interface Journal {
  pid: number
  /** Whether every new text is on the disk, in its temporary file. */
  ready: boolean
  steps: JournalStep[]
  /** The folders that the commit creates, outermost first. */
  folders: string[]
}

export interface JournalStep {
  path: string
  /** The temporary file with the new text; null to delete the file. */
  temporary: string | null
  /** The hash of the text before the commit; null if the file did not exist. */
  before: string | null
}

/** A journal that does not parse is still being written if it is younger than this, in milliseconds. */
const BEING_CREATED = 10_000

/**
 * The journal of a killed run; null if there is none.
 *
 * @throws ConflictError ALREADY_RUNNING if its process still runs
 * @throws HostError JOURNAL_INVALID, also if it names a path outside of the host, so that `recover` changes nothing there
 */
export function readJournal(root: string): Journal | null {
  const file = join(root, JOURNAL)
  const text = readText(root, JOURNAL)
  if (text === null) return null
  const journal = parsed(text)
  // The journal is written first: a run that was killed while it wrote the journal has changed nothing.
  if (journal === undefined && Date.now() - statSync(file).mtimeMs > BEING_CREATED) return EMPTY_JOURNAL
  if (journal !== undefined && !isJournal(root, journal)) {
    throw new HostError({
      code: 'JOURNAL_INVALID',
      message:
        'async-gen cannot use the journal of an interrupted run: a field is missing, or a path is outside of the project.',
      where: file,
      remedy: 'Check your files (`git status`), delete the journal, then run the command again.',
    })
  }
  if (journal && !isAlive(journal.pid)) return journal
  throw new ConflictError({
    code: 'ALREADY_RUNNING',
    message: `Another async-gen ${journal ? `(process ${journal.pid}) ` : ''}is writing to this project.`,
    where: file,
    remedy:
      'Wait until it ends. If no such process runs, or it is another program, delete the file named above, then run the command again.',
  })
}

const EMPTY_JOURNAL: Journal = { pid: 0, ready: false, steps: [], folders: [] }

/** Undefined if the text is no JSON, as while it is being written. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isJournal(root: string, journal: unknown): journal is Journal {
  if (typeof journal !== 'object' || journal === null) return false
  const { pid, ready, steps, folders } = journal as Record<string, unknown>
  const isOurs = (path: unknown) => isHostPath(path) && isUnder(root, realFolder(join(root, path)))
  return (
    Number.isInteger(pid) &&
    (pid as number) > 0 &&
    typeof ready === 'boolean' &&
    Array.isArray(folders) &&
    folders.every(isOurs) &&
    Array.isArray(steps) &&
    steps.every((step) => {
      const { path, temporary, before } = Object(step)
      if (!isOurs(path) || (before !== null && typeof before !== 'string')) return false
      // Only names that a commit gives: recovery must not rename or delete another file.
      const stem = `${dirname(path)}/.${basename(path)}.async-gen-`
      return (
        temporary === null ||
        (isOurs(temporary) && temporary.startsWith(stem) && /^\d+$/.test(temporary.slice(stem.length)))
      )
    })
  )
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
