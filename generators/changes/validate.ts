import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { ConflictError, HostError } from '../host/errors.js'
import type { Host } from '../host/inspect.js'
import { schemaError } from '../host/prisma-schema.js'
import type { Write } from './draft.js'

/** Checks the whole result before anything is written. */
export function validate(host: Host, writes: Write[]) {
  for (const write of writes) {
    requireInside(host.root, write)
    requireNoCaseClash(host.root, write)
  }
  requireSoundSchema(host, writes)
}

function requireInside(root: string, { path }: Write) {
  const folder = realpathSync(nearestExisting(dirname(join(root, path))))
  if (`${folder}${sep}`.startsWith(`${realpathSync(root)}${sep}`)) return
  throw new HostError({
    code: 'OUTSIDE_HOST',
    message: `${path} is outside the project.`,
    where: folder,
    remedy: 'Run async-gen in the folder that holds it (--cwd), or name a folder inside the project.',
  })
}

/** `Attempt.ts` beside `attempt.ts` is one file on macOS and Windows, and two on Linux. */
function requireNoCaseClash(root: string, { path, before }: Write) {
  const folder = dirname(join(root, path))
  if (before !== null || !existsSync(folder)) return
  const name = basename(path)
  const clash = readdirSync(folder).find((other) => other.toLowerCase() === name.toLowerCase())
  if (!clash) return
  throw new ConflictError({
    code: 'CASE_CLASH',
    message: `${path} differs from ${clash} only in case.`,
    where: folder,
    remedy: 'Rename the one that is there, or choose another folder: --dir <folder>',
  })
}

function requireSoundSchema(host: Host, writes: Write[]) {
  const written = writes.filter(({ path }) => path.endsWith('.prisma'))
  if (written.length === 0) return
  const untouched = host.schema.files.filter(({ path }) => !written.some((write) => write.path === path))
  const error = schemaError([...untouched, ...written.map(({ path, after }) => ({ path, text: after }))])
  if (!error) return
  throw new HostError({
    code: 'SCHEMA_RESULT_INVALID',
    message: `Prisma does not accept the schema as it would be. Nothing was written.\n${error}`,
    where: host.schema.path,
    remedy:
      'What Prisma says above names the model. Where it is one of ours, please report it with your datasource block.',
  })
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path))
}
