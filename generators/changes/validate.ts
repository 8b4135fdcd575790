import { readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConflictError, HostError } from '../host/errors.js'
import { isFolder, isUnder, realFolder } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import { schemaError } from '../host/prisma-schema.js'
import type { Write } from './draft.js'

/** Checks the whole result before anything is written. */
export function validate(host: Host, writes: Write[]) {
  for (const write of writes) {
    requireInside(host.root, write)
    requireMigrationUntouched(host, write)
    if (write.before === null) {
      requireNoCaseClash(host.root, write, writes)
      requireOneTask(host.root, write)
    }
  }
  requireSoundSchema(host, writes)
}

function requireInside(root: string, { path }: Write) {
  const folder = realFolder(join(root, path))
  if (isUnder(root, folder)) return
  throw new HostError({
    code: 'OUTSIDE_HOST',
    message: `${path} is outside the project.`,
    where: folder,
    remedy: 'Run async-gen in the folder that holds it (--cwd), or name a folder inside the project.',
  })
}

/** `Attempt.ts` beside `attempt.ts` is one file on macOS and Windows, and two on Linux. */
function requireNoCaseClash(root: string, { path }: Write, writes: Write[]) {
  const folder = dirname(join(root, path))
  const name = basename(path)
  const beside = writes.filter((other) => dirname(other.path) === dirname(path)).map((other) => basename(other.path))
  const clash = [...filesIn(folder), ...beside].find(
    (other) => other !== name && other.toLowerCase() === name.toLowerCase(),
  )
  if (!clash) return
  throw new ConflictError({
    code: 'CASE_CLASH',
    message: `${path} differs from ${clash} only in case.`,
    where: folder,
    remedy: 'Rename the existing one, or choose another folder: --dir <folder>',
  })
}

/** Graphile Worker names a task after its file, whatever the file ends in, and loads one of two. */
function requireOneTask(root: string, { path }: Write) {
  const folder = dirname(path)
  if (basename(folder) !== 'tasks') return
  const stem = (file: string) => basename(file).replace(/\.[cm]?[jt]s$/, '')
  const other = filesIn(join(root, folder)).find((file) => stem(file) === stem(path))
  if (!other) return
  throw new ConflictError({
    code: 'TASK_TAKEN',
    message: `There is a task of that name already: ${folder}/${other}; ${path} would be a second one.`,
    remedy: 'Rename the existing one, and what enqueues it.',
  })
}

/** It may have run: Prisma compares its checksum. Only the removal that was asked for takes one away, whole. */
function requireMigrationUntouched(host: Host, { path, before, after }: Write) {
  if (!path.endsWith('/migration.sql') || before === null || after === null) return
  throw new Error(`${path} was to be edited, in ${host.root}`)
}

function filesIn(folder: string): string[] {
  return isFolder(folder) ? readdirSync(folder) : []
}

function requireSoundSchema(host: Host, writes: Write[]) {
  const written = writes.filter(({ path }) => path.endsWith('.prisma'))
  if (written.length === 0) return
  const untouched = host.schema.files.filter(({ path }) => !written.some((write) => write.path === path))
  const changed = written.flatMap(({ path, after }) => (after === null ? [] : [{ path, text: after }]))
  const error = schemaError([...untouched, ...changed])
  if (!error) return
  throw new HostError({
    code: 'SCHEMA_RESULT_INVALID',
    message: `Prisma does not accept the schema as it would be. Nothing was written.\n${error}`,
    where: host.schema.path,
    remedy:
      'What Prisma says above names the model. Where it is one of ours, please report it with your datasource block.',
  })
}
