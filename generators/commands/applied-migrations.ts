import type { Manifest } from '../changes/manifest.js'
import { type DatabaseClient, openDatabase } from '../host/database.js'
import { ConflictError, UsageError } from '../host/errors.js'
import { recordedMigrations } from './doctor/migrations.js'

export interface DeletedMigration {
  folder: string
  sql: string
}

/**
 * Throws if the database has run one of the migrations: Prisma has recorded it, or its tables exist. Throws too if the
 * database cannot be checked, unless the database does not exist.
 *
 * @throws ConflictError MIGRATION_APPLIED
 * @throws UsageError DATABASE_NOT_CHECKED
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
    message: `async-gen could not check whether the database has run the migrations: ${message}`,
    remedy: `${remedy}\n        If no database has run them: --migration delete-unchecked. Otherwise: --migration drop`,
  })
}

async function refuseApplied(client: DatabaseClient, migrations: DeletedMigration[]) {
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
    remedy: 'Write a migration that drops their tables: --migration drop',
  })
}
