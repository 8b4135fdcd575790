import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { dirname as hostDirname } from 'node:path/posix'
import { ConflictError, WriteError } from '../host/errors.js'
import { hostPath, readText } from '../host/files.js'
import type { Write } from './draft.js'
import { JOURNAL, type Journal, type JournalStep, readJournal } from './journal.js'
import { hashOf, RECORDS } from './manifest.js'

/** The operations that change a disk; a test lets the k-th of them fail, or the process die there. */
export interface Disk {
  /** Fails with EEXIST where the file is there. */
  create(path: string, content: string): void
  makeFolder(path: string): void
  removeFolder(path: string): void
  write(path: string, content: string | Buffer, mode: number): void
  rename(from: string, to: string): void
  remove(path: string): void
}

export const realDisk: Disk = {
  create: (path, content) => writeFileSync(path, content, { flag: 'wx', flush: true }),
  makeFolder: (path) => mkdirSync(path, { recursive: true }),
  removeFolder: (path) => rmdirSync(path),
  // Flushed: after a power cut the journal must not speak of texts that never reached the disk.
  write: (path, content, mode) => writeFileSync(path, content, { mode, flush: true }),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { force: true }),
}

/**
 * Applies all of the writes, or none. Every text is on the disk under a temporary name before the first file is
 * replaced, so that a full disk or a read-only folder is met while nothing has happened yet. It is synchronous on
 * purpose: no signal handler runs in the middle of it. For the signal that nobody handles there is the journal.
 */
export function commit(root: string, plannedWrites: Write[], disk: Disk = realDisk) {
  const writes = plannedWrites.map((write) => followed(root, write))
  const steps = writes.map(stepFor)
  const folders = missingFolders(root, writes).filter((folder) => folder !== RECORDS)
  const journal = { pid: process.pid, ready: false, steps, folders }
  const undo: (() => void)[] = []
  try {
    begin(root, journal, disk, undo)
    requireUnchanged(root, writes)
    for (const folder of folders) makeFolder(root, folder, disk, undo)
    for (const [i, { path, temporary }] of steps.entries()) {
      if (temporary === null) continue
      undo.push(() => disk.remove(join(root, temporary)))
      disk.write(join(root, temporary), writes[i]!.after!, modeOf(join(root, path)))
    }
    undo.push(() => disk.remove(join(root, `${JOURNAL}.next`)))
    disk.write(join(root, `${JOURNAL}.next`), JSON.stringify({ ...journal, ready: true }), 0o666)
    disk.rename(join(root, `${JOURNAL}.next`), join(root, JOURNAL))
    for (const step of steps) apply(root, step, disk, undo)
    disk.remove(join(root, JOURNAL))
  } catch (error) {
    const notUndone = rollBack(undo)
    throw error instanceof ConflictError && notUndone.length === 0 ? error : writeError(error, notUndone)
  }
  for (const { path, after } of writes) if (after === null) removeEmptyFolders(root, hostDirname(path))
}

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
    const present = readText(root, path)
    if ((present === null ? null : hashOf(present)) === before) {
      if (temporary !== null) renameSync(join(root, temporary), file)
      else if (present !== null) rmSync(file)
    } else if (temporary !== null) {
      left.push(path)
      rmSync(join(root, temporary))
    }
  }
  if (!ready) for (const folder of folders.toReversed()) removeIfEmpty(join(root, folder))
  for (const file of [`${JOURNAL}.next`, JOURNAL]) rmSync(join(root, file), { force: true })
  removeIfEmpty(join(root, RECORDS))
  return { finished: ready, left }
}

/** A link stays one: what is written is the file that it leads to. */
function followed(root: string, write: Write): Write {
  const file = join(root, write.path)
  if (write.after === null || !existsSync(file)) return write
  return { ...write, path: hostPath(realpathSync(root), realpathSync(file)) }
}

/** The journal is the lock, too: of two runs at the same time one creates it. */
function begin(root: string, journal: Journal, disk: Disk, undo: (() => void)[]) {
  if (!existsSync(join(root, RECORDS))) makeFolder(root, RECORDS, disk, undo)
  let mine = true
  try {
    disk.create(join(root, JOURNAL), JSON.stringify(journal))
  } catch (error) {
    mine = (error as NodeJS.ErrnoException).code !== 'EEXIST'
    throw mine ? error : takenByAnother(root)
  } finally {
    if (mine) undo.push(() => disk.remove(join(root, JOURNAL)))
  }
}

function takenByAnother(root: string): ConflictError {
  readJournal(root)
  return changedMeanwhile('Another async-gen was interrupted here')
}

function apply(root: string, { path, temporary }: JournalStep, disk: Disk, undo: (() => void)[]) {
  const file = join(root, path)
  const original = existsSync(file) ? readFileSync(file) : null
  const mode = modeOf(file)
  if (temporary === null) disk.remove(file)
  else disk.rename(join(root, temporary), file)
  undo.push(() => {
    if (original === null) return disk.remove(file)
    disk.write(`${file}.${process.pid}`, original, mode)
    disk.rename(`${file}.${process.pid}`, file)
  })
}

/** Takes every step back that can be taken, and returns what could not be. */
function rollBack(undo: (() => void)[]): Error[] {
  return undo.reverse().flatMap((step) => {
    try {
      step()
      return []
    } catch (error) {
      return [error as Error]
    }
  })
}

function writeError(error: unknown, notUndone: Error[]): WriteError {
  return new WriteError({
    code: 'WRITE_FAILED',
    message: [
      (error as Error).message,
      ...(notUndone.length > 0 ? ['This could not be undone:', ...notUndone.map(({ message }) => message)] : []),
    ].join('\n'),
    remedy:
      notUndone.length > 0
        ? 'Look at the files above (`git status`), put them back, then run the command again.'
        : 'Nothing was changed. Fix the permissions or the disk, then run the command again.',
  })
}

function requireUnchanged(root: string, writes: Write[]) {
  const changed = writes.filter(({ path, before }) => readText(root, path) !== before)
  if (changed.length === 0) return
  throw changedMeanwhile(`Changed by somebody else in the meantime: ${changed.map(({ path }) => path).join(', ')}`)
}

export function changedMeanwhile(what: string): ConflictError {
  return new ConflictError({
    code: 'CHANGED_MEANWHILE',
    message: `${what}. Nothing was written.`,
    remedy: 'Run the command again.',
  })
}

function stepFor({ path, before, after }: Write): JournalStep {
  return {
    path,
    temporary: after === null ? null : `${hostDirname(path)}/.${basename(path)}.async-gen-${process.pid}`,
    before: before === null ? null : hashOf(before),
  }
}

/** The folders that are to be made, outermost first. */
function missingFolders(root: string, writes: Write[]): string[] {
  const missing = (folder: string): string[] =>
    existsSync(join(root, folder)) ? [] : [...missing(hostDirname(folder)), folder]
  return [...new Set(writes.flatMap(({ path, after }) => (after === null ? [] : missing(hostDirname(path)))))]
}

function makeFolder(root: string, folder: string, disk: Disk, undo: (() => void)[]) {
  disk.makeFolder(join(root, folder))
  undo.push(() => {
    try {
      disk.removeFolder(join(root, folder))
    } catch (error) {
      // Somebody else has put something there.
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
    }
  })
}

function removeEmptyFolders(root: string, folder: string) {
  if (folder === '.' || !removeIfEmpty(join(root, folder))) return
  removeEmptyFolders(root, hostDirname(folder))
}

/** Whether it was, and is gone. */
function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch {
    return false
  }
}

function modeOf(file: string): number {
  return existsSync(file) ? statSync(file).mode : 0o666
}
