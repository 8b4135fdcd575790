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
 * What async-gen stores about a host: the user's answers, and hashes of the emitted texts. A file with another hash has been
 * edited, and a later run keeps or merges the edit.
 */
export interface Manifest {
  version: 1
  /** The version of async-gen that wrote the files. */
  asyncGen: string
  /** The answers that all generators share. */
  settings: Settings
  /** The recorded runs, by owner: `install`, `attempt Attempt`, `reports Report`. */
  generators: Record<string, RecordedRun>
  /** The emitted files, by path; a section of a schema file is `prisma/schema.prisma#toasts`. */
  files: Record<string, { owner: string; hash: string }>
  /** The emitted migrations, by name. */
  migrations: Record<string, { folder: string; hash: string }>
  /** The entries that async-gen added to package.json. */
  package: PackageRecord
}

/** The answers that one generator has been given, in all of its runs. */
export interface RecordedRun {
  generator: string
  names: string[]
  model?: string
  encrypted?: boolean
  invalidateOn?: string[]
  clientSource?: ClientSource
  framework?: string
}

interface Settings {
  dir: string
  /** `src/db.ts#prisma` */
  client: string
  schema?: string
  /** The value of --config. */
  config?: string
  /** The value of --migrations. */
  migrations?: string
  /** The environment variables with the database URL, if it is not in DATABASE_URL. */
  urlVariables?: string[]
}

/** @throws HostError MANIFEST_INVALID, also if it names a path outside of the host, so that nothing is written there */
export function readManifest(root: string): Manifest | null {
  const text = readText(root, MANIFEST)
  if (text === null) return null
  const fault = faultOf(text)
  if (!fault) return JSON.parse(text)
  throw new HostError({
    code: 'MANIFEST_INVALID',
    message: `async-gen cannot read its manifest: ${fault}.`,
    where: MANIFEST,
    remedy: 'Restore the file from version control. If a newer async-gen wrote it, use that: npx async-gen@latest',
  })
}

/** What is wrong with the text of a manifest; undefined if it is valid. */
function faultOf(text: string): string | undefined {
  let manifest: Record<string, unknown>
  try {
    // As a key, `__proto__` would change the prototype of the object.
    manifest = JSON.parse(text, (key, value) => {
      if (key === '__proto__') throw new Error('__proto__ is a key')
      return value
    })
  } catch (error) {
    return (error as Error).message
  }
  if (!isRecord(manifest)) return 'the JSON is not an object'
  const wrong = Object.entries(SHAPE).find(([key, holds]) => !holds(manifest[key]))
  return wrong && `${JSON.stringify(wrong[0])} is missing, has the wrong type, or names a path outside of the project`
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
  // A workspace may keep client, schema and config outside of the host. They are only read.
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
      framework: optional(isName),
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
 * The copy of an emitted file, the base of later merges. Because of the suffix, the host's test runner, compiler and linter
 * ignore the copy.
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
