import { dirname, join } from 'node:path/posix'
import { HostError } from '../host/errors.js'
import { readText } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { EmitContract } from '../host/prisma-8/contract.js'
import { migrationPackage } from '../host/prisma-8/migration-package.js'
import type { Draft } from './draft.js'
import { hashOf } from './manifest.js'
import type { StagedMigration } from './stage.js'

/**
 * Plans the migrations of a run in the format of Prisma 8: one package, which leads from the contract of the host to the one with our
 * models. The emitted contract that a database has is a hash in it, so Prisma itself computes both.
 */
export async function planContractMigration(draft: Draft, staged: StagedMigration[], now: Date, emit: EmitContract) {
  const { schema, migrations } = draft.host
  const text = draft.read(schema.path)!
  const isNew = ({ name }: StagedMigration) => !draft.manifest.migrations[name]
  const there = staged.flatMap(({ name }) => draft.manifest.migrations[name]?.folder ?? [])
  for (const folder of new Set(there)) {
    const path = join(migrations.path, folder, 'migration.sql')
    draft.changes.push({ kind: draft.read(path) === null ? 'removed' : 'identical', path })
  }
  const added = staged.filter(isNew)
  const [first] = added
  if (!first) {
    if (text !== schema.files[0]!.text) await emit(text)
    return
  }
  const from = await origin(draft.host, emit)
  const to = await emit(text)
  if (to.hash === from) throw unchanged(draft.host, first.name)
  const folder = packageFolder(first.name, now)
  const sql = added.map((each) => each.text).join('\n')
  for (const [file, content] of Object.entries(
    await migrationPackage(draft.host, { name: first.name, from, to, sql, now }),
  )) {
    write(draft, join(migrations.path, folder, file), content)
  }
  const snapshot = join(dirname(migrations.path), 'snapshots', to.hash)
  write(draft, join(snapshot, 'contract.json'), to.json)
  write(draft, join(snapshot, 'contract.d.ts'), to.types)
  for (const { name } of added) draft.manifest.migrations[name] = { folder, hash: hashOf(sql) }
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

function unchanged({ schema }: Host, name: string): HostError {
  return new HostError({
    code: 'CONTRACT_UNCHANGED',
    message: `${name} changes the database, but not the contract. Prisma 8 runs no migration from a contract to itself.`,
    where: schema.path,
    remedy: 'Run its SQL yourself, for example with psql: it is in the folder templates/ of async-gen.',
  })
}

/** `20261126T1801_create_toasts`, as Prisma names its own. */
function packageFolder(name: string, now: Date): string {
  const [date = '', time = ''] = now.toISOString().replaceAll(/[-:]/g, '').split('T')
  return `${date}T${time.slice(0, 4)}_${name}`
}
