import { statSync } from 'node:fs'
import { join } from 'node:path'
import { basename, dirname } from 'node:path/posix'
import { ConflictError, HostError } from '../host/errors.js'
import { isHostPath, isUnder, readText, realFolder } from '../host/files.js'
import { RECORDS } from './manifest.js'

export const JOURNAL = `${RECORDS}/journal.json`

/**
 * What a commit is about to do, on the disk for as long as it does it. A run that is killed (`kill -9`, a power cut)
 * leaves it behind, and the next one ends what it began: before `ready` by taking it back, after it by going on.
 */
export interface Journal {
  pid: number
  /** Every new text is on the disk, under its temporary name. */
  ready: boolean
  steps: JournalStep[]
  /** Folders that were made for them, outermost first. */
  folders: string[]
}

export interface JournalStep {
  path: string
  /** Where the new text waits; null for a file that goes. */
  temporary: string | null
  /** The hash of what is there now; null for nothing. */
  before: string | null
}

/** How old a journal without text has to be to be that of a killed run, in milliseconds. */
const BEING_CREATED = 10_000

/**
 * The journal of a run that did not end, or null. One that is still at work is left alone.
 * @throws ConflictError ALREADY_RUNNING
 * @throws HostError JOURNAL_INVALID, also where it names a path outside of the host, so that nothing there is touched
 */
export function readJournal(root: string): Journal | null {
  const file = join(root, JOURNAL)
  const text = readText(root, JOURNAL)
  if (text === null) return null
  const journal = parsed(text)
  // It is written before anything else is: a run that was killed while it wrote it has done nothing.
  if (journal === undefined && Date.now() - statSync(file).mtimeMs > BEING_CREATED) return NOTHING_DONE
  if (journal !== undefined && !isJournal(root, journal)) {
    throw new HostError({
      code: 'JOURNAL_INVALID',
      message:
        'The journal of an interrupted run cannot be used: a part is missing, or names a path outside of the project.',
      where: file,
      remedy: 'Look at your files (`git status`), delete the journal, then run the command again.',
    })
  }
  if (journal && !isAlive(journal.pid)) return journal
  throw new ConflictError({
    code: 'ALREADY_RUNNING',
    message: `Another async-gen ${journal ? `(process ${journal.pid}) ` : ''}is writing to this project.`,
    where: file,
    remedy:
      'Wait for it to end. If there is none, or that process is something else, delete the file named above, then run the command again.',
  })
}

const NOTHING_DONE: Journal = { pid: 0, ready: false, steps: [], folders: [] }

/** Undefined for one that is just being created. */
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
      // No other file is ever a temporary one.
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
