import { createHash } from 'node:crypto'
import { HostError } from '../host/errors.js'
import { readText, withEol } from '../host/files.js'
import type { PackageRecord } from '../host/package-json.js'
import type { ClientSource } from '../host/prisma-client.js'

export const MANIFEST = '.async-gen/manifest.json'

/**
 * What async-gen remembers of a host, beside the code: the answers that it was given and the text that it emitted. A
 * file that differs from that text has been edited, so that a later run can keep the edit, or merge it.
 */
export interface Manifest {
  version: 1
  /** The async-gen that wrote last. */
  asyncGen: string
  /** The answers that all generators share. */
  settings: Settings
  /** What each generator was run for, by owner: `install`, `attempt Attempt`, `reports Report`. */
  generators: Record<string, RecordedRun>
  /** What was emitted, by path; a section of a single schema file is `prisma/schema.prisma#toasts`. */
  files: Record<string, { owner: string; hash: string }>
  /** Each migration that was emitted, by name. */
  migrations: Record<string, { folder: string; hash: string }>
  /** What was put into package.json. */
  package: PackageRecord
}

/** The answers that one generator was given, all its runs taken together. */
export interface RecordedRun {
  generator: string
  names: string[]
  model?: string
  encrypted?: boolean
  invalidateOn?: string[]
  clientSource?: ClientSource
}

interface Settings {
  dir: string
  /** `src/db.ts#prisma` */
  client: string
  schema?: string
  /** The prisma.config that was named, where there are several. */
  config?: string
  /** The folder for migrations that was named, where Prisma's own is not the one to write to. */
  migrations?: string
  /** The environment variables that hold the database's URL, where that is not DATABASE_URL. */
  urlVariables?: string[]
}

export function readManifest(root: string): Manifest | null {
  const text = readText(root, MANIFEST)
  if (text === null) return null
  try {
    const manifest = JSON.parse(text) as Manifest
    if (manifest.version === 1 && isWhole(manifest)) return manifest
  } catch {
    // said below
  }
  throw new HostError({
    code: 'MANIFEST_INVALID',
    message: 'async-gen cannot read what it remembers of this project.',
    where: MANIFEST,
    remedy: 'Take the file back from your version control, or use the async-gen that wrote it (npx async-gen@latest).',
  })
}

function isWhole(manifest: Manifest): boolean {
  const { settings, generators, files, migrations, package: packages } = manifest
  const parts: unknown[] = [settings, generators, files, migrations, packages]
  return typeof manifest.asyncGen === 'string' && parts.every((part) => typeof part === 'object' && part !== null)
}

export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/**
 * Where the text that was emitted for a path is kept, for later merges. The suffix keeps the host's test runner, compiler
 * and linter away from these copies.
 */
export function basePath(path: string): string {
  return `.async-gen/base/${path}.base`
}

export function hashOf(text: string): string {
  return createHash('sha256').update(withEol(text, '\n')).digest('hex')
}
