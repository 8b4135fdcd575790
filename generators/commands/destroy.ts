import { join } from 'node:path/posix'
import { planPackage } from '../changes/contract-migration.js'
import type { Draft } from '../changes/draft.js'
import { hashOf, type Manifest, parseFileKey } from '../changes/manifest.js'
import { downMigration, emittedFolders, migrationFolder } from '../changes/migrations.js'
import { manifestKey, type PlanOptions } from '../changes/plan.js'
import type { Staged, StagedMigration } from '../changes/stage.js'
import type { Generator } from '../definitions/generator.js'
import { className } from '../definitions/names.js'
import { UsageError } from '../host/errors.js'
import { sameText } from '../host/files.js'
import { nothingAdded, removeFromPackageJson } from '../host/package-json.js'
import { MIGRATIONS_SECTION } from '../host/prisma-8/recorded-migrations.js'
import { readSection, removeSection } from '../host/schema-block.js'
import { sharedAnswers } from '../pipeline/answers.js'
import { nextSteps } from '../pipeline/next-steps.js'
import { type PlanMode, type PlanOutcome, planAndApply, writesIn } from '../pipeline/plan-and-apply.js'
import { generators as known, stageWithPlop } from '../pipeline/plop.js'
import { recordedRuns } from '../pipeline/recorded-runs.js'
import { type HostLocation, openSession, requireManifest } from '../pipeline/session.js'
import { EJECTED, templatesOf } from '../pipeline/templates.js'
import { type DeletedMigration, requireNotApplied } from './applied-migrations.js'

/**
 * What happens to the migrations: keep them, write one that drops their tables, or delete them. `delete` fails if the database
 * has run them or cannot be checked; `delete-unchecked` does not check.
 */
export type MigrationFate = 'keep' | 'drop' | 'delete' | 'delete-unchecked'

export interface DestroyRequest extends HostLocation, PlanMode {
  generator: Generator['name']
  /** As in `attempt EmailAttempt` and `reports MonthlySales`; absent for the only one, or for all reports. */
  name?: string | undefined
  model?: string | undefined
  migration?: MigrationFate | undefined
  /** The URL of the database; default: the environment variable that the host's database.ts reads. */
  databaseUrl?: string | undefined
}

/** Deletes what a generator emitted. Files that the user has edited stay, and the plan lists them. */
export async function destroy(request: DestroyRequest): Promise<PlanOutcome> {
  const session = await openSession(request, { writes: writesIn(request) })
  const { host } = session
  const manifest = requireManifest(session.manifest)
  const remaining = without(manifest, request)
  const answers = sharedAnswers(host, manifest)

  const { plan, status } = await planAndApply(
    session,
    { ...manifest, generators: remaining },
    request,
    async (draft, planning) => {
      const templates = templatesOf(draft)
      const before = await stageWithPlop(recordedRuns(manifest, answers), host, templates)
      const after = await stageWithPlop(recordedRuns(draft.manifest, answers), host, templates)
      await removeFiles(draft, after, planning)
      const deleted = await removeMigrations(draft, before, after, request.migration ?? 'keep', planning.now)
      if (request.migration === 'delete') await requireNotApplied(host.root, manifest, deleted, request.databaseUrl)
      if (!remaining.install) removePackages(draft)
      return tablesLeft(draft)
    },
  )
  return {
    plan,
    status,
    nextSteps: nextSteps(host, manifest, plan, 'Find the code that still imports the deleted files: npx tsc --noEmit'),
  }
}

/** The recorded runs without the one that the request names. */
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
  if (!owner) throw notGenerated(request, owners)
  if (meant.length > 1) throw nameMissing(request, meant)

  const left = Object.entries(generators).filter(([other]) => other !== owner)
  const run = generators[owner]!
  // Only this report's class is deleted. The model and the table serve the other reports.
  const rest =
    generator === 'reports' && name
      ? [[owner, { ...run, names: run.names.filter((other) => other !== name) }] as const]
      : []
  return Object.fromEntries([...left, ...rest])
}

async function removeFiles(draft: Draft, stillEmitted: Staged[], { format }: PlanOptions) {
  const { host, manifest } = draft
  const owners = new Map(
    stillEmitted.flatMap((item) => ('owner' in item ? [[manifestKey(host, item), item.owner] as const] : [])),
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
      draft.changes.push({ kind: 'keep', path, detail: section ? `you edited ${section}` : 'you edited it' })
    else if (section) {
      draft.write(path, removeSection(text!, section))
      draft.changes.push({ kind: 'update', path, detail: `without ${section}` })
    } else {
      draft.delete(path)
      draft.changes.push({ kind: 'delete', path })
    }
  }
}

/** Returns the migrations that the plan deletes. */
async function removeMigrations(
  draft: Draft,
  before: Staged[],
  after: Staged[],
  fate: MigrationFate,
  now: Date,
): Promise<DeletedMigration[]> {
  const deleted: DeletedMigration[] = []
  const { path } = draft.host.migrations
  const kept = new Set(migrationsIn(after).map(({ name }) => name))
  const gone = migrationsIn(before).flatMap(({ name, text }) => {
    const emitted = draft.manifest.migrations[name]
    if (kept.has(name) || !emitted) return []
    const file = join(path, emitted.folder, 'migration.sql')
    return [{ name, text, emitted, file, current: draft.read(file) }]
  })
  const [first] = gone
  if (draft.host.emitContract && first) {
    if (fate !== 'drop') throw dropOnly()
    await planDropPackage(
      draft,
      first.name,
      gone.map(({ text }) => text),
      now,
    )
  } else if (fate === 'drop' && first) {
    // One migration for all: an object of a later one may depend on an object of an earlier one.
    draft.write(downFile(draft, first.name, now), downMigration(gone.map(({ text, current }) => current ?? text)), '\n')
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
      const detail = deletes(fate) ? 'you edited it' : 'a database may have run it'
      draft.changes.push({ kind: 'keep', path: file, detail })
    }
  }
  return deleted
}

/** The package of a run may contain migrations of other generators, which stay. So the texts are those of the templates. */
async function planDropPackage(draft: Draft, first: string, ups: string[], now: Date) {
  const { schema, emitContract } = draft.host
  if (Object.keys(draft.manifest.generators).length === 0) {
    draft.write(schema.path, removeSection(draft.read(schema.path)!, MIGRATIONS_SECTION))
  }
  const name = dropName(first)
  await planPackage(draft, { name, names: [name], sql: downMigration(ups), now, emit: emitContract! })
}

/** Prisma 8 knows a database by its contract only. It could not tell one that still has the tables from one without them. */
function dropOnly(): UsageError {
  return new UsageError({
    code: 'MIGRATION_DROP_ONLY',
    message: 'With Prisma 8, the tables go with their models: the database has what the contract says.',
    remedy: 'Have a migration drop them, with their rows: --migration drop',
  })
}

function deletes(fate: MigrationFate): boolean {
  return fate === 'delete' || fate === 'delete-unchecked'
}

/** The path of the migration that drops the tables, named after the generator's first migration. */
function downFile(draft: Draft, first: string, now: Date): string {
  const { path, names } = draft.host.migrations
  const folder = migrationFolder(dropName(first), [...names, ...emittedFolders(draft)], now)
  const file = join(path, folder, 'migration.sql')
  draft.changes.push({ kind: 'create', path: file })
  return file
}

function dropName(first: string): string {
  return `drop_${first.replace(/^create_/, '')}`
}

/** A warning: Prisma drops tables that its schema does not name, with their rows. */
function tablesLeft({ changes }: Draft): string[] {
  if (!changes.some(({ kind, path }) => kind === 'keep' && path.endsWith('/migration.sql'))) return []
  return [
    'the tables still exist in the database, but not in the schema: the next `prisma migrate dev` drops them. To drop their triggers and functions too: --migration drop',
  ]
}

function migrationsIn(staged: Staged[]): StagedMigration[] {
  return staged.flatMap((item) => (item.kind === 'migration' ? [item] : []))
}

function removePackages(draft: Draft) {
  const current = draft.read('package.json')!
  const { text, kept } = removeFromPackageJson(current, draft.manifest.package)
  draft.manifest.package = nothingAdded
  if (text !== current) draft.write('package.json', text)
  draft.changes.push({ kind: text === current ? 'identical' : 'update', path: 'package.json' })
  if (kept.length > 0)
    draft.changes.push({ kind: 'keep', path: 'package.json', detail: `you changed ${kept.join(', ')}` })
}

function requireUnused(generators: Manifest['generators']) {
  const others = Object.keys(generators).filter((owner) => owner !== 'install')
  if (others.length === 0) return
  throw new UsageError({
    code: 'STILL_USED',
    message: `Other generated code still needs the files of \`install\`: ${others.join(', ')}.`,
    remedy: others.map((owner) => `npx async-gen destroy ${owner}`).join('\n        '),
  })
}

function notGenerated({ generator, name }: DestroyRequest, owners: string[]): UsageError {
  return new UsageError({
    code: 'NOT_GENERATED',
    message: `\`async-gen ${generator}${name ? ` ${name}` : ''}\` has not been run in this project.`,
    remedy:
      owners.length > 0 ? `Choose one of these: ${owners.join(', ')}` : 'npx async-gen info lists what has been run.',
  })
}

function nameMissing({ generator }: DestroyRequest, owners: string[]): UsageError {
  return new UsageError({
    code: 'NAME_MISSING',
    message: `\`async-gen ${generator}\` has been run several times: ${owners.join(', ')}.`,
    remedy: `Name one of them: npx async-gen destroy ${generator === 'reports' ? `reports --model ${owners[0]!.split(' ')[1]}` : owners[0]}`,
  })
}
