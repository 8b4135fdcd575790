import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConflictError, WriteError } from '../host/errors.js'
import { readText } from '../host/files.js'
import type { Write } from './draft.js'

/** The operations that change a disk; a test lets the k-th of them fail. */
export interface Disk {
  makeFolder(path: string): void
  removeFolder(path: string): void
  write(path: string, content: string | Buffer, mode: number): void
  rename(from: string, to: string): void
  remove(path: string): void
}

const realDisk: Disk = {
  makeFolder: (path) => mkdirSync(path),
  removeFolder: (path) => rmdirSync(path),
  write: (path, content, mode) => writeFileSync(path, content, { mode }),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { force: true }),
}

/**
 * Applies all of the writes, or none. Every text is on the disk under a temporary name before the first file is
 * replaced, so that a full disk or a read-only folder is met while nothing has happened yet. It is synchronous on
 * purpose: no signal handler runs in the middle of it.
 */
export function commit(root: string, writes: Write[], disk: Disk = realDisk) {
  requireUnchanged(root, writes)
  const undo: (() => void)[] = []
  try {
    const files = writes.map((write) => ({
      ...write,
      file: join(root, write.path),
      temporary: temporaryFor(root, write),
    }))
    for (const { file, temporary, after } of files) {
      makeFolders(dirname(file), disk, undo)
      undo.push(() => disk.remove(temporary))
      disk.write(temporary, after, modeOf(file))
    }
    for (const { file, temporary } of files) {
      const original = existsSync(file) ? readFileSync(file) : null
      disk.rename(temporary, file)
      undo.push(() => restore(file, temporary, original, disk))
    }
  } catch (error) {
    throw writeError(error, rollBack(undo))
  }
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
        : 'Everything is as it was before. Mend the permissions or the disk, then run the command again.',
  })
}

function requireUnchanged(root: string, writes: Write[]) {
  const changed = writes.filter(({ path, before }) => readText(root, path) !== before)
  if (changed.length === 0) return
  throw new ConflictError({
    code: 'CHANGED_MEANWHILE',
    message: `Changed by somebody else in the meantime: ${changed.map(({ path }) => path).join(', ')}. Nothing was written.`,
    remedy: 'Run the command again.',
  })
}

function temporaryFor(root: string, { path }: Write): string {
  return join(root, dirname(path), `.${basename(path)}.async-gen-${process.pid}`)
}

function makeFolders(folder: string, disk: Disk, undo: (() => void)[]) {
  if (existsSync(folder)) return
  makeFolders(dirname(folder), disk, undo)
  disk.makeFolder(folder)
  undo.push(() => disk.removeFolder(folder))
}

function restore(file: string, temporary: string, original: Buffer | null, disk: Disk) {
  if (original === null) return disk.remove(file)
  disk.write(temporary, original, modeOf(file))
  disk.rename(temporary, file)
}

function modeOf(file: string): number {
  return existsSync(file) ? statSync(file).mode : 0o666
}
