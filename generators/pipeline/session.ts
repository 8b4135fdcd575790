import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { gt } from 'semver'
import { recover } from '../changes/commit.js'
import { readJournal } from '../changes/journal.js'
import { MANIFEST, type Manifest, readManifest } from '../changes/manifest.js'
import { UsageError } from '../host/errors.js'
import { isFolder } from '../host/files.js'
import { type FormatWithFailures, formatWith } from '../host/formatter.js'
import { type Host, inspect } from '../host/inspect.js'
import { version } from '../host/own-package.js'
import { otherVersion } from './installed-version.js'

/** The host in which a command runs. */
export interface HostLocation {
  /** The host's folder, absolute. */
  cwd: string
  schema?: string | undefined
  /** The prisma.config file, if there are several. */
  config?: string | undefined
  /** The folder of the migrations, if a script copies them from there to where Prisma reads them. */
  migrations?: string | undefined
}

/** The location flags that were given. The manifest remembers them. */
export function locationFlags({ schema, config, migrations }: HostLocation) {
  return { ...(schema && { schema }), ...(config && { config }), ...(migrations && { migrations }) }
}

/** What every command works with. */
export interface HostSession {
  host: Host
  manifest: Manifest | null
  format: FormatWithFailures
  /** For the user: what `openSession` has found or fixed. */
  notes: string[]
}

/** Reads the host and its manifest. A command that writes first finishes or undoes a killed run. */
export async function openSession(place: HostLocation, { writes }: { writes: boolean }): Promise<HostSession> {
  const { cwd } = place
  requireFolder(cwd)
  const notes = endInterrupted(cwd, writes)
  const manifest = readManifest(cwd)
  if (manifest) requireNotNewer(manifest)
  const host = await inspect(cwd, { ...manifest?.settings, ...locationFlags(place) })
  notes.push(...otherVersion(host))
  return { host, manifest, format: formatWith(host.formatter, cwd), notes }
}

function requireFolder(cwd: string) {
  if (isFolder(cwd)) return
  throw new UsageError({
    code: 'NO_SUCH_FOLDER',
    message: `The folder ${cwd} does not exist.`,
    remedy: 'Name the folder of your application: --cwd <folder>',
  })
}

function endInterrupted(cwd: string, writes: boolean): string[] {
  const journal = readJournal(cwd)
  if (!journal) return []
  if (!writes) return ['an earlier run was interrupted. To finish or undo it: npx async-gen doctor --fix']
  const { finished, left } = recover(cwd, journal)
  return [
    `an earlier run was interrupted. async-gen has ${finished ? 'finished it' : 'undone it'}`,
    ...left.map((path) => `${path} has changed since that run, and stays as it is`),
  ]
}

/** An older async-gen would treat newer files as edits of the user. */
function requireNotNewer({ asyncGen }: Manifest) {
  if (!gt(asyncGen, version)) return
  throw new UsageError({
    code: 'OLDER_THAN_HOST',
    message: `async-gen ${asyncGen} wrote the files of this project. This is the older version ${version}.`,
    remedy: `Use the newer version: npx async-gen@${asyncGen}`,
  })
}

/** Accepts a host without a manifest, which may be lost or not committed, if `install` has written database.ts. */
export function requireInstalled(root: string, manifest: Manifest | null, dir: string) {
  if (manifest?.generators.install || existsSync(join(root, dir, 'database.ts'))) return
  throw notInstalled(`${dir}/database.ts`)
}

/** @throws UsageError NOT_INSTALLED */
export function requireManifest(manifest: Manifest | null): Manifest {
  if (manifest) return manifest
  throw notInstalled(MANIFEST)
}

export function notInstalled(missing: string): UsageError {
  return new UsageError({
    code: 'NOT_INSTALLED',
    message: `async-gen is not installed in this project: there is no ${missing}.`,
    remedy: 'Run this first: npx async-gen install. If you have run it before, restore the file from version control.',
  })
}
