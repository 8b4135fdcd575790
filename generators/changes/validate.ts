import { readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConflictError, HostError } from '../host/errors.js'
import { isFolder, isUnder, realFolder } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import { schemaError } from '../host/prisma-schema.js'
import type { Write } from './draft.js'

/** Checks the complete result before anything is written. */
export function validate(host: Host, writes: Write[]) {
  for (const write of writes) {
    requireInside(host.root, write)
    requireMigrationUntouched(host, write)
    if (write.before === null) {
      requireNoCaseClash(host.root, write)
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
    remedy: 'Run async-gen in the folder that contains it (--cwd <folder>), or name a folder inside the project.',
  })
}

/** On macOS and Windows, `Attempt.ts` and `attempt.ts` are the same file. */
function requireNoCaseClash(root: string, { path }: Write) {
  const folder = dirname(join(root, path))
  const name = basename(path)
  const clash = filesIn(folder).find((other) => other !== name && other.toLowerCase() === name.toLowerCase())
  if (!clash) return
  throw new ConflictError({
    code: 'CASE_CLASH',
    message: `${path} and the existing ${clash} differ only in case.`,
    where: folder,
    remedy: `Rename ${clash}, or choose another folder: --dir <folder>`,
  })
}

/** Graphile Worker names a task after its file, without the extension. Of two files for one task it loads only one. */
function requireOneTask(root: string, { path }: Write) {
  const folder = dirname(path)
  if (basename(folder) !== 'tasks') return
  const stem = (file: string) => basename(file).replace(/\.[cm]?[jt]s$/, '')
  const other = filesIn(join(root, folder)).find((file) => stem(file) === stem(path))
  if (!other) return
  throw new ConflictError({
    code: 'TASK_TAKEN',
    message: `The task ${stem(path)} exists already: ${folder}/${other}. async-gen would write ${path}.`,
    remedy: `Rename ${folder}/${other}, and change the name where your code enqueues the task.`,
  })
}

/** Prisma refuses a migration that changed after it ran. `destroy` may delete one, but nothing may edit one. */
function requireMigrationUntouched(host: Host, { path, before, after }: Write) {
  if (!path.endsWith('/migration.sql') || before === null || after === null) return
  throw new Error(`The plan edits the migration ${path} of ${host.root}`)
}

function filesIn(folder: string): string[] {
  return isFolder(folder) ? readdirSync(folder) : []
}

function requireSoundSchema(host: Host, writes: Write[]) {
  const written = writes.filter(({ path }) => path.endsWith('.prisma'))
  // A contract was emitted when the migration was planned.
  if (written.length === 0 || host.emitContract) return
  const untouched = host.schema.files.filter(({ path }) => !written.some((write) => write.path === path))
  const changed = written.flatMap(({ path, after }) => (after === null ? [] : [{ path, text: after }]))
  const error = schemaError([...untouched, ...changed], host.schema.major)
  if (!error) return
  throw new HostError({
    code: 'SCHEMA_RESULT_INVALID',
    message: `Prisma refuses the schema that async-gen would write. Nothing was written.\n${error}`,
    where: host.schema.path,
    remedy:
      "Prisma's message above names the model. If async-gen wrote that model, please report this with your datasource block.",
  })
}
