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

/** Every operation that changes the disk. A test makes the k-th of them fail, or kills the process there. */
export interface Disk {
  /** Fails with EEXIST if the file exists. */
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
  // Flushed: after a power cut, the journal must not name texts that never reached the disk.
  write: (path, content, mode) => writeFileSync(path, content, { mode, flush: true }),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { force: true }),
}

/**
 * Applies all of the writes, or none. It writes every text to a temporary file before it replaces the first file: a full disk
 * or a read-only folder then fails while nothing has changed. It is synchronous, so that no signal handler runs in the
 * middle. A journal on the disk covers `kill -9` and power cuts.
 */
export function commit(root: string, plannedWrites: Write[], disk: Disk = realDisk) {
  const writes = plannedWrites.map((write) => withLinkResolved(root, write))
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

/** Finishes a killed run, or rolls it back. A file that has changed since then stays as it is, and is in `left`. */
export function recover(root: string, { ready, steps, folders }: Journal): { finished: boolean; left: string[] } {
  const left: string[] = []
  for (const { path, temporary, before } of steps) {
    const file = join(root, path)
    const waiting = temporary !== null && existsSync(join(root, temporary))
    if (!ready) {
      if (waiting) rmSync(join(root, temporary))
      continue
    }
    if (temporary !== null && !waiting) continue // The killed run has written this file.
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

/** Writes to the target of a symbolic link, so that the link stays a link. */
function withLinkResolved(root: string, write: Write): Write {
  const file = join(root, write.path)
  if (write.after === null || !existsSync(file)) return write
  return { ...write, path: hostPath(realpathSync(root), realpathSync(file)) }
}

/** Creating the journal is also the lock: only one of two concurrent runs can create it. */
function begin(root: string, journal: Journal, disk: Disk, undo: (() => void)[]) {
  if (!existsSync(join(root, RECORDS))) makeFolder(root, RECORDS, disk, undo)
  let created = true
  try {
    disk.create(join(root, JOURNAL), JSON.stringify(journal))
  } catch (error) {
    created = (error as NodeJS.ErrnoException).code !== 'EEXIST'
    throw created ? error : alreadyRunning(root)
  } finally {
    if (created) undo.push(() => disk.remove(join(root, JOURNAL)))
  }
}

function alreadyRunning(root: string): ConflictError {
  readJournal(root)
  return changedMeanwhile('An earlier async-gen was interrupted in this project')
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

/** Undoes every step, and returns the errors of those that could not be undone. */
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
      ...(notUndone.length > 0
        ? ['These changes could not be undone:', ...notUndone.map(({ message }) => message)]
        : []),
    ].join('\n'),
    remedy:
      notUndone.length > 0
        ? 'Restore the files above from version control (`git status` lists them), then run the command again.'
        : 'Nothing was changed. Fix the permissions or the disk, then run the command again.',
  })
}

function requireUnchanged(root: string, writes: Write[]) {
  const changed = writes.filter(({ path, before }) => readText(root, path) !== before)
  if (changed.length === 0) return
  throw changedMeanwhile(
    `These files have changed since async-gen read them: ${changed.map(({ path }) => path).join(', ')}`,
  )
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

/** The folders to create, outermost first. */
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
      // Another process has written a file into it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
    }
  })
}

function removeEmptyFolders(root: string, folder: string) {
  if (folder === '.' || !removeIfEmpty(join(root, folder))) return
  removeEmptyFolders(root, hostDirname(folder))
}

/** Whether the folder was empty, and is removed. */
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
