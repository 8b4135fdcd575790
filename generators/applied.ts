import type { Manifest } from './changes/manifest.js'
import { recordedMigrations } from './doctor/migrations.js'
import { type Client, openDatabase } from './host/database.js'
import { ConflictError, UsageError } from './host/errors.js'

export interface DeletedMigration {
  folder: string
  sql: string
}

/**
 * Refuses to delete migrations that the database has run: by Prisma's record, or because their tables are there. Where the
 * database cannot be asked, that is refused as well. One that does not exist has run nothing.
 */
export async function requireNotApplied(
  root: string,
  { settings }: Manifest,
  migrations: DeletedMigration[],
  url: string | undefined,
) {
  if (migrations.length === 0) return
  const opened = await openDatabase(root, settings.dir, url)
  if ('client' in opened) {
    try {
      await refuseApplied(opened.client, migrations)
    } finally {
      await opened.client.end()
    }
    return
  }
  const { code, message, remedy } = opened.unreachable
  if (code === 'DATABASE_ABSENT') return
  throw new UsageError({
    code: 'DATABASE_NOT_CHECKED',
    message: `Whether the migrations have run was not checked: ${message}`,
    remedy: `${remedy}\n        Where they ran nowhere: --migration delete-unchecked. Where they may have run: --migration drop`,
  })
}

async function refuseApplied(client: Client, migrations: DeletedMigration[]) {
  const recorded = (await recordedMigrations(client)).map(({ migration_name }) => migration_name)
  const tables = migrations.flatMap(({ sql }) =>
    [...sql.matchAll(/^CREATE TABLE ("[^"]+")/gm)].map(([, name]) => name!),
  )
  const { rows } = await client.query<{ name: string }>(
    'SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL',
    [tables],
  )
  const present = new Set(rows.map(({ name }) => name))
  const applied = migrations.filter(
    ({ folder, sql }) =>
      recorded.includes(folder) || [...present].some((name) => sql.includes(`CREATE TABLE ${name} `)),
  )
  if (applied.length === 0) return
  throw new ConflictError({
    code: 'MIGRATION_APPLIED',
    message: `The database has run ${applied.map(({ folder }) => folder).join(', ')}. Nothing was written.`,
    remedy: 'Have another migration drop what they made: --migration drop',
  })
}
