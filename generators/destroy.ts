import { join } from 'node:path/posix'
import { shared } from './answers.js'
import { type DeletedMigration, requireNotApplied } from './applied.js'
import type { Draft } from './changes/draft.js'
import { hashOf, type Manifest, parseFileKey } from './changes/manifest.js'
import { downMigration, emittedFolders, migrationFolder } from './changes/migrations.js'
import { keyOf, type Planning } from './changes/plan.js'
import type { Staged, StagedMigration } from './changes/stage.js'
import type { Generator } from './generator.js'
import { UsageError } from './host/errors.js'
import { sameText } from './host/files.js'
import { nothingAdded, removeFromPackageJson } from './host/package-json.js'
import { readSection, removeSection } from './host/schema-block.js'
import { className } from './names.js'
import { nextSteps } from './next-steps.js'
import { type Mode, type Outcome, perform, writesIn } from './perform.js'
import { generators as known, stageWithPlop } from './plop.js'
import { recordedRuns, requireManifest } from './recorded.js'
import { openSession, type Place } from './session.js'
import { EJECTED, templatesOf } from './templates.js'

/**
 * What becomes of the migrations: they stay, another one drops their tables, or they are deleted. That is refused where the
 * database has run them, and where it cannot be asked, unless it is to be done unchecked.
 */
export type MigrationFate = 'keep' | 'drop' | 'delete' | 'delete-unchecked'

export interface DestroyRequest extends Place, Mode {
  generator: Generator['name']
  /** `attempt EmailAttempt`, `reports MonthlySales`; absent for all of it. */
  name?: string | undefined
  model?: string | undefined
  migration?: MigrationFate | undefined
  /** Where the database is; what the host's database.ts names where it is not given. */
  databaseUrl?: string | undefined
}

/** Takes out what a generator emitted, where it is still as emitted. The rest is kept, and named. */
export async function destroy(request: DestroyRequest): Promise<Outcome> {
  const session = await openSession(request, { writes: writesIn(request) })
  const { host } = session
  const manifest = requireManifest(session.manifest)
  const remaining = without(manifest, request)
  const answers = shared(host, manifest)

  const { plan, status } = await perform(
    session,
    { ...manifest, generators: remaining },
    request,
    async (draft, planning) => {
      const templates = templatesOf(draft)
      const before = await stageWithPlop(recordedRuns(manifest, answers), host, templates)
      const after = await stageWithPlop(recordedRuns(draft.manifest, answers), host, templates)
      await takeOutFiles(draft, after, planning)
      const deleted = takeOutMigrations(draft, before, after, request.migration ?? 'keep', planning.now)
      if (request.migration === 'delete') await requireNotApplied(host.root, manifest, deleted, request.databaseUrl)
      if (!remaining.install) takeOutPackages(draft)
      return tablesLeft(draft)
    },
  )
  return {
    plan,
    status,
    nextSteps: nextSteps(host, manifest, plan, 'Look for what still imports it: npx tsc --noEmit'),
  }
}

/** The runs that are left when those of the request are gone. */
function without({ generators }: Manifest, request: DestroyRequest): Manifest['generators'] {
  const { generator, model } = request
  const { parseName = className } = known.find(({ name }) => name === generator)!
  const name = request.name === undefined ? undefined : parseName(request.name)
  const owners = Object.keys(generators).filter((owner) => generators[owner]!.generator === generator)
  if (generator === 'install' && owners.length > 0) requireUnused(generators)

  const meant = owners.filter((owner) => {
    const { names } = generators[owner]!
    if (generator === 'reports') return (!model || owner === `reports ${model}`) && (!name || names.includes(name))
    return !name || owner === `${generator} ${name}`
  })
  const [owner] = meant
  if (!owner) throw notThere(request, owners)
  if (meant.length > 1) throw severalThere(request, meant)

  const left = Object.entries(generators).filter(([other]) => other !== owner)
  const run = generators[owner]!
  // One class of the reports goes; their model and table stay.
  const rest =
    generator === 'reports' && name
      ? [[owner, { ...run, names: run.names.filter((other) => other !== name) }] as const]
      : []
  return Object.fromEntries([...left, ...rest])
}

async function takeOutFiles(draft: Draft, stillEmitted: Staged[], { format }: Planning) {
  const { host, manifest } = draft
  const owners = new Map(
    stillEmitted.flatMap((item) => ('owner' in item ? [[keyOf(host, item), item.owner] as const] : [])),
  )
  const empty = Object.keys(manifest.generators).length === 0
  for (const [key, entry] of Object.entries(manifest.files)) {
    if (entry.owner === EJECTED && !empty) continue
    const owner = owners.get(key)
    if (owner) {
      entry.owner = manifest.generators[entry.owner] ? entry.owner : owner
      continue
    }
    const { path, section } = parseFileKey(key)
    const text = draft.read(path)
    const current = text === null || !section ? text : readSection(text, section)
    const emitted = draft.emitted(key)!
    draft.forget(key)
    if (current === null) continue
    const asEmitted =
      hashOf(current) === emitted.hash ||
      (!section && emitted.text !== null && sameText(await format(path, current), await format(path, emitted.text)))
    if (!asEmitted)
      draft.changes.push({ kind: 'keep', path, detail: section ? `${section}: edited by you` : 'edited by you' })
    else if (section) {
      draft.write(path, removeSection(text!, section))
      draft.changes.push({ kind: 'update', path, detail: `without ${section}` })
    } else {
      draft.delete(path)
      draft.changes.push({ kind: 'delete', path })
    }
  }
}

/** Returns the migrations that are to be deleted. */
function takeOutMigrations(
  draft: Draft,
  before: Staged[],
  after: Staged[],
  fate: MigrationFate,
  now: Date,
): DeletedMigration[] {
  const deleted: DeletedMigration[] = []
  const { path } = draft.host.migrations
  const kept = new Set(migrationsIn(after).map(({ name }) => name))
  const gone = migrationsIn(before).flatMap(({ name, text }) => {
    const emitted = draft.manifest.migrations[name]
    if (kept.has(name) || !emitted) return []
    const file = join(path, emitted.folder, 'migration.sql')
    return [{ name, text, emitted, file, current: draft.read(file) }]
  })
  if (fate === 'drop' && gone[0]) {
    // One migration for all of them: what a later one creates may hold on to what an earlier one did.
    draft.write(
      downFile(draft, gone[0].name, now),
      downMigration(gone.map(({ text, current }) => current ?? text)),
      '\n',
    )
  }
  for (const { name, emitted, file, current } of gone) {
    if (fate === 'drop') {
      delete draft.manifest.migrations[name]
    } else if (deletes(fate) && current !== null && hashOf(current) === emitted.hash) {
      deleted.push({ folder: emitted.folder, sql: current })
      draft.delete(file)
      draft.changes.push({ kind: 'delete', path: file })
      delete draft.manifest.migrations[name]
    } else if (current !== null) {
      const detail = deletes(fate) ? 'edited by you' : 'it may have run'
      draft.changes.push({ kind: 'keep', path: file, detail })
    }
  }
  return deleted
}

function deletes(fate: MigrationFate): boolean {
  return fate === 'delete' || fate === 'delete-unchecked'
}

/** The file of the migration that drops what the first of a generator's migrations, and those after it, created. */
function downFile(draft: Draft, first: string, now: Date): string {
  const { path, names } = draft.host.migrations
  const folder = migrationFolder(`drop_${first.replace(/^create_/, '')}`, [...names, ...emittedFolders(draft)], now)
  const file = join(path, folder, 'migration.sql')
  draft.changes.push({ kind: 'create', path: file })
  return file
}

/** Prisma drops what its schema does not name: whoever means to keep the rows has to know. */
function tablesLeft({ changes }: Draft): string[] {
  if (!changes.some(({ kind, path }) => kind === 'keep' && path.endsWith('/migration.sql'))) return []
  return [
    'the tables are still there, but no longer in the schema: the next `prisma migrate dev` would drop them, and `--migration drop` does it with their triggers and functions',
  ]
}

function migrationsIn(staged: Staged[]): StagedMigration[] {
  return staged.flatMap((item) => (item.kind === 'migration' ? [item] : []))
}

function takeOutPackages(draft: Draft) {
  const current = draft.read('package.json')!
  const { text, kept } = removeFromPackageJson(current, draft.manifest.package)
  draft.manifest.package = nothingAdded
  if (text !== current) draft.write('package.json', text)
  draft.changes.push({ kind: text === current ? 'identical' : 'update', path: 'package.json' })
  if (kept.length > 0)
    draft.changes.push({ kind: 'keep', path: 'package.json', detail: `${kept.join(', ')}: changed by you` })
}

function requireUnused(generators: Manifest['generators']) {
  const others = Object.keys(generators).filter((owner) => owner !== 'install')
  if (others.length === 0) return
  throw new UsageError({
    code: 'STILL_USED',
    message: `What \`install\` wrote is used by what these wrote: ${others.join(', ')}.`,
    remedy: others.map((owner) => `npx async-gen destroy ${owner}`).join('\n        '),
  })
}

function notThere({ generator, name }: DestroyRequest, owners: string[]): UsageError {
  return new UsageError({
    code: 'NOT_GENERATED',
    message: `\`async-gen ${generator}${name ? ` ${name}` : ''}\` was not run here.`,
    remedy: owners.length > 0 ? `What was: ${owners.join(', ')}` : 'npx async-gen info says what was.',
  })
}

function severalThere({ generator }: DestroyRequest, owners: string[]): UsageError {
  return new UsageError({
    code: 'NAME_MISSING',
    message: `There are several: ${owners.join(', ')}.`,
    remedy: `Say which: npx async-gen destroy ${generator === 'reports' ? `reports --model ${owners[0]!.split(' ')[1]}` : owners[0]}`,
  })
}
