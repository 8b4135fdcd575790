import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConflictError } from '../host/errors.js'

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
  const text = existsSync(file) ? readFileSync(file, 'utf8') : null
  if (text === null) return null
  const journal = parsed(text)
  if (journal && !isAlive(journal.pid)) return journal
  throw new ConflictError({
    code: 'ALREADY_RUNNING',
    message: `Another async-gen ${journal ? `(process ${journal.pid}) ` : ''}is writing to this project.`,
    where: file,
    remedy:
      'Wait for it to end. If there is none, or that process is something else, delete the file named above, then run the command again.',
  })
}

/** Null for one that is just being created. */
function parsed(text: string): Journal | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
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
