import { dirname, join } from 'node:path/posix'
import { HostError } from '../host/errors.js'
import { readText } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { EmitContract } from '../host/prisma-8/contract.js'
import { migrationPackage } from '../host/prisma-8/migration-package.js'
import { MIGRATIONS_SECTION, recordMigrations } from '../host/prisma-8/recorded-migrations.js'
import type { Draft } from './draft.js'
import { hashOf } from './manifest.js'
import { isDropped } from './migrations.js'
import type { StagedMigration } from './stage.js'

/**
 * Plans the migrations of a run in the format of Prisma 8: one package, which leads from the contract of the host to the one with our
 * models. The emitted contract that a database has is a hash in it, so Prisma itself computes both.
 */
export async function planContractMigration(draft: Draft, staged: StagedMigration[], now: Date, emit: EmitContract) {
  for (const migration of staged) findUnrecorded(draft, migration)
  const there = staged.flatMap(({ name }) => draft.manifest.migrations[name]?.folder ?? [])
  for (const folder of new Set(there)) {
    const path = sqlPath(draft, folder)
    draft.changes.push({ kind: draft.read(path) === null ? 'removed' : 'identical', path })
  }
  const added = staged.filter(({ name }) => !draft.manifest.migrations[name])
  const [first] = added
  if (!first) {
    const text = draft.read(draft.host.schema.path)!
    if (text !== draft.host.schema.files[0]!.text) await emit(text)
    return
  }
  const names = added.map(({ name }) => name)
  const sql = added.map(({ text }) => text).join('\n')
  const folder = await planPackage(draft, { name: first.name, names, sql, now, emit })
  for (const name of names) draft.manifest.migrations[name] = { folder, hash: hashOf(sql) }
}

export interface NewPackage {
  /** `create_toasts` */
  name: string
  /** The migrations that it contains. */
  names: string[]
  sql: string
  now: Date
  emit: EmitContract
}

/** Plans a migration from the contract on the disk to the one in the draft. Returns its folder. */
export async function planPackage(draft: Draft, { name, names, sql, now, emit }: NewPackage): Promise<string> {
  const { schema, migrations } = draft.host
  const text = () => draft.read(schema.path)!
  const from = await origin(draft.host, emit)
  let to = await emit(text())
  if (to.hash === from) {
    draft.write(schema.path, recordMigrations(text(), names))
    draft.changes.push({ kind: 'update', path: schema.path, detail: MIGRATIONS_SECTION })
    to = await emit(text())
  }
  const folder = packageFolder(name, migrations.names, now)
  const files = await migrationPackage(draft.host, { name, from, to, sql, now })
  for (const [file, content] of Object.entries(files)) write(draft, join(migrations.path, folder, file), content)
  const snapshot = join(dirname(migrations.path), 'snapshots', to.hash)
  write(draft, join(snapshot, 'contract.json'), to.json)
  write(draft, join(snapshot, 'contract.d.ts'), to.types)
  return folder
}

/** If the manifest is lost, the packages show which of our migrations there are. A later package may have dropped their tables. */
function findUnrecorded(draft: Draft, { name, text }: StagedMigration) {
  if (draft.manifest.migrations[name]) return
  const { names } = draft.host.migrations
  const sqlOf = (folder: string) => draft.read(sqlPath(draft, folder)) ?? ''
  const folder = names.findLast((each) => sqlOf(each).includes(text))
  if (!folder || isDropped(text, names.filter((each) => each > folder).map(sqlOf))) return
  draft.manifest.migrations[name] = { folder, hash: hashOf(sqlOf(folder)) }
}

function sqlPath({ host }: Draft, folder: string): string {
  return join(host.migrations.path, folder, 'migration.sql')
}

function write(draft: Draft, path: string, text: string) {
  draft.write(path, text, '\n')
  draft.changes.push({ kind: 'create', path })
}

/** The contract to which the host's migrations lead; null before the first one. */
async function origin({ root, schema, migrations }: Host, emit: EmitContract): Promise<string | null> {
  const { hash } = await emit(schema.files[0]!.text)
  const reached = migrations.names.flatMap((name) => {
    const text = readText(root, join(migrations.path, name, 'migration.json'))
    return text === null ? [] : (JSON.parse(text) as { to: string }).to
  })
  if (reached.includes(hash)) return hash
  if (reached.length === 0 && schema.names.length === 0) return null
  throw new HostError({
    code: 'CONTRACT_NOT_PLANNED',
    message: `No migration in ${migrations.path} leads to the contract in ${schema.path}. A migration of async-gen follows yours.`,
    where: schema.path,
    remedy: `Plan yours first: npx prisma contract emit && npx prisma migration plan --name ${reached.length === 0 ? 'init' : '<name>'}. Then run the command again.`,
  })
}

/** `20261126T1801_create_toasts`, as Prisma names its own; a later minute if there is one. */
function packageFolder(name: string, existing: string[], now: Date): string {
  const [date = '', time = ''] = now.toISOString().replaceAll(/[-:]/g, '').split('T')
  const folder = `${date}T${time.slice(0, 4)}_${name}`
  return existing.includes(folder) ? packageFolder(name, existing, new Date(now.getTime() + 60_000)) : folder
}
