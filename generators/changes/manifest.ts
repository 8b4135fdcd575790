import { createHash } from 'node:crypto'
import { normalize } from 'node:path/posix'
import { valid } from 'semver'
import { HostError } from '../host/errors.js'
import { isHostPath, readText, withEol } from '../host/files.js'
import type { PackageRecord } from '../host/package-json.js'
import type { ClientSource } from '../host/prisma-client.js'

/** The folder of a host in which async-gen keeps its own records. */
export const RECORDS = '.async-gen'

export const MANIFEST = `${RECORDS}/manifest.json`

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

/** @throws HostError MANIFEST_INVALID, also where it names a path outside of the host, so that nothing there is touched */
export function readManifest(root: string): Manifest | null {
  const text = readText(root, MANIFEST)
  if (text === null) return null
  const fault = faultOf(text)
  if (!fault) return JSON.parse(text)
  throw new HostError({
    code: 'MANIFEST_INVALID',
    message: `async-gen cannot read what it remembers of this project: ${fault}.`,
    where: MANIFEST,
    remedy: 'Take the file back from your version control, or use the async-gen that wrote it (npx async-gen@latest).',
  })
}

/** What is wrong with the text of a manifest; undefined where nothing is. */
function faultOf(text: string): string | undefined {
  let manifest: Record<string, unknown>
  try {
    // Assigned like any other key, this one would change what the object inherits.
    manifest = JSON.parse(text, (key, value) => {
      if (key === '__proto__') throw new Error('__proto__ is a key')
      return value
    })
  } catch (error) {
    return (error as Error).message
  }
  if (!isRecord(manifest)) return 'it is no object'
  const wrong = Object.entries(SHAPE).find(([key, holds]) => !holds(manifest[key]))
  return wrong && `${JSON.stringify(wrong[0])} is missing, of another type, or names a path outside of the project`
}

type Check = (value: unknown) => boolean

const isText: Check = (value) => typeof value === 'string' && !value.includes('\0')
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText)
const isName: Check = (value) => typeof value === 'string' && /^[\p{L}\p{N}_$-]+$/u.test(value)
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
const entries =
  (key: Check, value: Check): Check =>
  (record) =>
    isRecord(record) && Object.entries(record).every(([name, each]) => key(name) && value(each))
const object =
  (fields: Record<string, Check>): Check =>
  (value) =>
    isRecord(value) && Object.entries(fields).every(([name, check]) => check(value[name]))

/** package.json is changed by its entries only: recorded as an emitted file, it could be deleted. */
const isEmittedPath = (path: string) => isHostPath(path) && normalize(path) === path && !NEVER_EMITTED.includes(path)
const NEVER_EMITTED = ['.', 'package.json', MANIFEST]

const SHAPE: Record<keyof Manifest, Check> = {
  version: (value) => value === 1,
  asyncGen: (value) => typeof value === 'string' && valid(value) !== null,
  // A client, a schema and a config are only read, or checked when they are written: a workspace may have them elsewhere.
  settings: object({
    dir: isHostPath,
    client: isText,
    schema: optional(isText),
    config: optional(isText),
    migrations: optional(isText),
    urlVariables: optional(isTexts),
  }),
  generators: entries(
    isText,
    object({
      generator: isText,
      names: (value) => Array.isArray(value) && value.every(isName),
      model: optional(isName),
      encrypted: optional((value) => typeof value === 'boolean'),
      invalidateOn: optional(isTexts),
      clientSource: optional(isRecord),
    }),
  ),
  files: entries((key) => isEmittedPath(parseFileKey(key as string).path), object({ owner: isText, hash: isText })),
  migrations: entries(isText, object({ folder: (value) => isHostPath(value) && !/[\\/]/.test(value), hash: isText })),
  package: object({
    dependencies: entries(isText, isText),
    devDependencies: entries(isText, isText),
    scripts: entries(isText, isText),
    fields: isTexts,
  }),
}

export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/**
 * Where the text that was emitted for a path is kept, for later merges. The suffix keeps the host's test runner, compiler
 * and linter away from these copies.
 */
export function basePath(path: string): string {
  return `${BASE}${path}.base`
}

const BASE = `${RECORDS}/base/`

/** Whether a path is one of async-gen's own records, and not a file of the host's application. */
export function isRecordPath(path: string): boolean {
  return path.startsWith(`${RECORDS}/`)
}

export function isBasePath(path: string): boolean {
  return path.startsWith(BASE)
}

/** The key of a section of a single schema file: `prisma/schema.prisma#toasts`. A file's key is its path. */
export function sectionKey(path: string, section: string): string {
  return `${path}#${section}`
}

/** Reads a key of `files`. A folder may have a `#` in its name: `src/c#/attempt.ts` is a path without a section. */
export function parseFileKey(key: string): { path: string; section: string | undefined } {
  const [, path = key, section] = /^(.+)#([^#/.]+)$/.exec(key) ?? []
  return { path, section }
}

export function hashOf(text: string): string {
  return createHash('sha256').update(withEol(text, '\n')).digest('hex')
}
