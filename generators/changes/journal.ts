import { existsSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ConflictError } from '../host/errors.js'
import { hashOf } from './manifest.js'

export const JOURNAL = '.async-gen/journal.json'

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

/** The journal of a run that did not end, or null. One that is still at work is left alone. */
export function readJournal(root: string): Journal | null {
  const file = join(root, JOURNAL)
  if (!existsSync(file)) return existsSync(`${file}.next`) ? notBegun : null
  const journal: Journal = JSON.parse(readFileSync(file, 'utf8'))
  if (isAlive(journal.pid)) {
    throw new ConflictError({
      code: 'ALREADY_RUNNING',
      message: `Another async-gen (process ${journal.pid}) is writing to this project.`,
      where: file,
      remedy:
        'Wait for it to end. If that process is something else, delete the file named above, then run the command again.',
    })
  }
  return journal
}

/** Killed while it wrote the journal itself. */
const notBegun: Journal = { pid: 0, ready: false, steps: [], folders: [] }

/** Ends what a killed run began. A file that somebody has changed since stays as it is, and is named. */
export function recover(root: string, { ready, steps, folders }: Journal): { finished: boolean; left: string[] } {
  const left: string[] = []
  for (const { path, temporary, before } of steps) {
    const file = join(root, path)
    const waiting = temporary !== null && existsSync(join(root, temporary))
    if (!ready) {
      if (waiting) rmSync(join(root, temporary))
      continue
    }
    if (temporary !== null && !waiting) continue // it was done
    const present = existsSync(file) ? hashOf(readFileSync(file, 'utf8')) : null
    if (present === before) {
      if (temporary === null) rmSync(file, { force: true })
      else renameSync(join(root, temporary), file)
    } else if (temporary !== null) {
      left.push(path)
      rmSync(join(root, temporary))
    }
  }
  if (!ready) for (const folder of folders.toReversed()) removeIfEmpty(join(root, folder))
  for (const file of [`${JOURNAL}.next`, JOURNAL]) rmSync(join(root, file), { force: true })
  removeIfEmpty(join(root, dirname(JOURNAL)))
  return { finished: ready, left }
}

/** Whether it was, and is gone. */
export function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch {
    return false
  }
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
