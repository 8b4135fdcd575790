import { join } from 'node:path/posix'
import { Draft } from '../../changes/draft.js'
import { hashOf, type Manifest } from '../../changes/manifest.js'
import type { DatabaseClient } from '../../host/database.js'
import { readText } from '../../host/files.js'
import type { Host } from '../../host/inspect.js'
import { sharedAnswers } from '../../pipeline/answers.js'
import { migrateCommand, prismaCommand } from '../../pipeline/next-steps.js'
import { stageWithPlop } from '../../pipeline/plop.js'
import { recordedRuns } from '../../pipeline/recorded-runs.js'
import { templatesOf } from '../../pipeline/templates.js'
import { type Definition, type Definitions, readMigration } from './definitions.js'
import type { Finding } from './finding.js'
import { type Difference, differences, presentObjects } from './objects.js'

/** Compares the database with our migrations: those that have not run, and objects that are missing or changed. */
export async function migrationFindings(client: DatabaseClient, host: Host, manifest: Manifest): Promise<Finding[]> {
  const definitions = await definitionsOf(host, manifest)
  const found = differences(definitions, await presentObjects(client, definitions))
  const recorded = await recordedMigrations(client)
  const { pending, failed } = unfinished(definitions, found, recorded)
  return [
    ...failedMigrations(failed, host, manifest),
    ...pendingMigrations(pending, host, manifest),
    ...differing(
      found.filter(({ definition: { migration } }) => !pending.includes(migration) && !failed.includes(migration)),
      host,
      manifest,
    ),
  ]
}

/**
 * The objects that our migrations create. A later migration of the host counts if it replaces one of our functions. Its DROP
 * statements do not count: Prisma may have written them, because it does not know these objects.
 */
async function definitionsOf(host: Host, manifest: Manifest): Promise<Definitions> {
  const definitions: Definitions = new Map()
  const ours = new Map<string, string>()
  for (const { folder, text } of await migrationTexts(host, manifest)) ours.set(folder, text)
  for (const folder of [...new Set([...ours.keys(), ...host.migrations.names])].sort()) {
    const text = ours.get(folder)
    if (text !== undefined) readMigration(definitions, text, folder)
    else readMigration(definitions, sqlOf(host, folder) ?? '', folder, 'functions')
  }
  return definitions
}

function sqlOf({ root, migrations }: Host, folder: string): string | null {
  return readText(root, join(migrations.path, folder, 'migration.sql'))
}

/** The SQL of our migrations. For a deleted one (squashed, for example), its template if that has not changed since. */
async function migrationTexts(host: Host, manifest: Manifest): Promise<{ folder: string; text: string }[]> {
  const entries = Object.entries(manifest.migrations).map(([name, entry]) => ({
    ...entry,
    name,
    text: sqlOf(host, entry.folder),
  }))
  const gone = entries.some(({ text }) => text === null)
  const staged = gone
    ? await stageWithPlop(
        recordedRuns(manifest, sharedAnswers(host, manifest)),
        host,
        templatesOf(new Draft(host, manifest)),
      )
    : []
  return entries.flatMap(({ name, folder, hash, text }) => {
    if (text !== null) return [{ folder, text }]
    const template = staged.find((item) => item.kind === 'migration' && item.name === name)
    return template && 'text' in template && hashOf(template.text) === hash ? [{ folder, text: template.text }] : []
  })
}

interface Recorded {
  migration_name: string
  finished: boolean
}

/** The migrations that Prisma has recorded; empty if `prisma db push` made the database. */
export async function recordedMigrations(client: DatabaseClient): Promise<Recorded[]> {
  const { rows: tables } = await client.query(`SELECT FROM pg_class WHERE oid = to_regclass('_prisma_migrations')`)
  if (tables.length === 0) return []
  const { rows } = await client.query<Recorded>(
    'SELECT migration_name, finished_at IS NOT NULL AS finished FROM _prisma_migrations WHERE rolled_back_at IS NULL',
  )
  return rows
}

/** `pending`: not recorded, and none of its objects exists. `failed`: recorded as started, but not as finished. */
function unfinished(definitions: Definitions, found: Difference[], recorded: Recorded[]) {
  // In the order in which they run: a later migration may have changed the definition of an earlier one.
  const folders = [...new Set([...definitions.values()].map(({ migration }) => migration))].sort()
  const finished = recorded.filter((each) => each.finished).map(({ migration_name }) => migration_name)
  const begun = recorded.map(({ migration_name }) => migration_name)
  const partOf = (folder: string) => [...definitions.values()].filter(({ migration }) => migration === folder)
  const differs = new Set(found.map(({ definition }) => definition))
  const tablesGone = new Set(
    found.flatMap(({ definition: { kind, name }, what }) => (kind === 'table' && what === 'missing' ? [name] : [])),
  )
  const lacks = (definition: Definition) => differs.has(definition) || tablesGone.has(definition.table ?? '')
  return {
    pending: folders.filter((folder) => !begun.includes(folder) && partOf(folder).every(lacks)),
    failed: folders.filter((folder) => begun.includes(folder) && !finished.includes(folder)),
  }
}

function pendingMigrations(folders: string[], host: Host, manifest: Manifest): Finding[] {
  if (folders.length === 0) return []
  return [
    {
      severity: 'error',
      code: 'MIGRATION_PENDING',
      message: `${folders.length === 1 ? 'A migration has' : `${folders.length} migrations have`} not run: ${folders.join(', ')}.`,
      where: host.migrations.path,
      remedy: migrateCommand(host, manifest),
    },
  ]
}

function failedMigrations(folders: string[], host: Host, manifest: Manifest): Finding[] {
  return folders.map((folder) => ({
    severity: 'error',
    code: 'MIGRATION_FAILED',
    message: `The migration ${folder} started, but did not finish.`,
    where: join(host.migrations.path, folder, 'migration.sql'),
    remedy: `Fix the cause, then run: ${prismaCommand(host, manifest, `migrate resolve --rolled-back ${folder}`)}, then: ${prismaCommand(host, manifest, 'migrate deploy')}`,
  }))
}

/** One finding for each migration, kind of object and kind of difference. */
function differing(found: Difference[], host: Host, manifest: Manifest): Finding[] {
  const groupOf = ({ definition: { kind, migration }, what }: Difference) => `${migration} ${kind} ${what}`
  return [...new Set(found.map(groupOf))].map((name) => {
    const group = found.filter((each) => groupOf(each) === name)
    const { definition, what } = group[0]!
    const { kind, migration } = definition
    const names = group.map(({ definition: { name } }) => name).join(', ')
    const noun = group.length === 1 ? kind : PLURALS[kind]
    return {
      severity: 'error',
      code: `${kind.toUpperCase()}_${what.toUpperCase()}`,
      message: `${WHAT[what](noun, names, group.length > 1)} ${CONSEQUENCES[kind]}`.trim(),
      where: join(host.migrations.path, migration, 'migration.sql'),
      remedy: remedyFor({ definition, what }, host, manifest),
    }
  })
}

const PLURALS: Record<Definition['kind'], string> = {
  type: 'types',
  table: 'tables',
  column: 'columns',
  index: 'indexes',
  trigger: 'triggers',
  function: 'functions',
}

const WHAT: Record<Difference['what'], (noun: string, names: string, several: boolean) => string> = {
  missing: (noun, names) => `The database lacks the ${noun} ${names}.`,
  differs: (noun, names, several) =>
    `The ${noun} ${names} in the database ${several ? 'differ' : 'differs'} from the migration.`,
  disabled: (noun, names, several) => `The ${noun} ${names} ${several ? 'are' : 'is'} disabled or invalid.`,
}

const CONSEQUENCES: Record<Definition['kind'], string> = {
  type: '',
  table: '',
  column: '',
  index: 'Without it queries are slow. Without a unique index, tokens and keys are not unique.',
  trigger: 'Without it, a new row enqueues no job, or a change makes no toast stale.',
  function: '',
}

function remedyFor({ definition: { kind, name }, what }: Difference, host: Host, manifest: Manifest): string {
  const create = prismaCommand(host, manifest, host.emitContract ? 'migration new' : 'migrate dev --create-only')
  if (what === 'disabled' && kind === 'trigger') {
    const [trigger, table] = name.split(' on ')
    return `ALTER TABLE "${table}" ENABLE TRIGGER "${trigger}"`
  }
  const old = what === 'missing' ? '' : `drop the old ${kind}, then `
  return `Create a migration, ${old}copy the statement from the migration above into it: ${create}`
}
