import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { gt } from 'semver'
import { recover } from './changes/commit.js'
import { readJournal } from './changes/journal.js'
import { type Manifest, readManifest } from './changes/manifest.js'
import { UsageError } from './host/errors.js'
import { isFolder } from './host/files.js'
import { type FormatWithFailures, formatWith } from './host/formatter.js'
import { type Host, inspect } from './host/inspect.js'
import { otherVersion } from './installed-version.js'
import { version } from './own-package.js'

/** Where a command runs. */
export interface Place {
  /** The host's folder, absolute. */
  cwd: string
  schema?: string | undefined
  /** The prisma.config to use, where there are several. */
  config?: string | undefined
  /** The folder that migrations go to, where that is not the one that Prisma reads. */
  migrations?: string | undefined
}

/** The flags that say where the Prisma parts are, as far as they were given: a later run remembers them. */
export function given({ schema, config, migrations }: Place) {
  return { ...(schema && { schema }), ...(config && { config }), ...(migrations && { migrations }) }
}

/** What every command starts from. */
export interface Session {
  host: Host
  manifest: Manifest | null
  format: FormatWithFailures
  /** What was found and mended on the way in. */
  notes: string[]
}

/** Reads the host and what async-gen remembers of it. A run that was killed is ended first, except by one that only looks. */
export async function openSession(place: Place, { writes }: { writes: boolean }): Promise<Session> {
  const { cwd } = place
  requireFolder(cwd)
  const notes = endInterrupted(cwd, writes)
  const manifest = readManifest(cwd)
  if (manifest) requireNotNewer(manifest)
  const host = await inspect(cwd, { ...manifest?.settings, ...given(place) })
  notes.push(...otherVersion(host))
  return { host, manifest, format: formatWith(host.formatter, cwd), notes }
}

function requireFolder(cwd: string) {
  if (isFolder(cwd)) return
  throw new UsageError({
    code: 'NO_SUCH_FOLDER',
    message: `There is no folder ${cwd}.`,
    remedy: 'Name the folder of your application: --cwd <folder>',
  })
}

function endInterrupted(cwd: string, writes: boolean): string[] {
  const journal = readJournal(cwd)
  if (!journal) return []
  if (!writes)
    return ['an earlier run was interrupted: npx async-gen doctor --fix ends it, and so does any run that writes']
  const { finished, left } = recover(cwd, journal)
  return [
    finished
      ? 'an earlier run was interrupted, and has been finished'
      : 'an earlier run was interrupted, and has been taken back',
    ...left.map((path) => `${path} had been changed meanwhile, and is as you left it`),
  ]
}

/** An older async-gen would take newer files for edits of the user. */
function requireNotNewer({ asyncGen }: Manifest) {
  if (!gt(asyncGen, version)) return
  throw new UsageError({
    code: 'OLDER_THAN_HOST',
    message: `async-gen ${asyncGen} was here before; this is ${version}.`,
    remedy: `Use the newer one: npx async-gen@${asyncGen}`,
  })
}

/** A host may have lost its manifest, or never committed it: the file that the others import says it as well. */
export function requireInstalled(root: string, manifest: Manifest | null, dir: string) {
  if (manifest?.generators.install || existsSync(join(root, dir, 'database.ts'))) return
  throw new UsageError(notInstalled(`${dir}/database.ts`))
}

/** What each command says where `install` has not run. */
export function notInstalled(missing: string) {
  return {
    code: 'NOT_INSTALLED',
    message: `async-gen is not installed here: there is no ${missing}.`,
    remedy: 'Run this first: npx async-gen install. If it has run, restore the file from your version control.',
  }
}
