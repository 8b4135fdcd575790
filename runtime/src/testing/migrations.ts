import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { runMigrations } from 'graphile-worker'
import { AsyncGenError } from '../core/errors.js'
import { onConnection, quoteName } from '../core/postgres/connection.js'
import { GRAPHILE_SCHEMA } from '../worker/graphile-module.js'

/** The migrations of a host, as Prisma stores them. */
export interface Migrations {
  /** The folder, as an absolute path. */
  folder: string
  scripts: { name: string; sql: string }[]
}

/**
 * Reads a folder of Prisma's migrations.
 * @throws AsyncGenError NO_MIGRATIONS
 */
export function readMigrations(folder: string): Migrations {
  const path = resolve(folder)
  if (foldersIn(path).some((name) => readIfThere(join(path, name, 'ops.json')) !== undefined)) throw ofPrisma8(path)
  const scripts = foldersIn(path)
    .sort()
    .flatMap((name) => {
      const sql = readIfThere(join(path, name, 'migration.sql'))
      return sql === undefined ? [] : [{ name, sql }]
    })
  if (scripts.length > 0) return { folder: path, scripts }
  throw new AsyncGenError(
    'NO_MIGRATIONS',
    `The folder ${path} holds no migrations. Name the folder that Prisma uses: testDatabase({ migrations: 'db/migrations' }).`,
  )
}

/** Their statements are data, and only a path through their contracts gives the order. */
function ofPrisma8(path: string): AsyncGenError {
  return new AsyncGenError(
    'NO_MIGRATIONS',
    `The folder ${path} holds migrations of Prisma 8, which only Prisma runs. Migrate a database with \`prisma db migrate\`, and name it: ` +
      "testDatabase({ template: 'shop_template' }).",
  )
}

/**
 * What identifies the schema that migrations create: with Graphile Worker's, and the schema that Prisma's URL names.
 * @returns 16 hexadecimal digits
 */
export function digestOfMigrations({ scripts }: Migrations, schema: string | undefined): string {
  const hash = createHash('sha256').update(JSON.stringify([graphileVersion(), schema ?? '', scripts]))
  return hash.digest('hex').slice(0, 16)
}

/** Runs Graphile Worker's migrations, then those of the host. */
export async function migrate(url: string, { scripts }: Migrations, schema: string | undefined): Promise<void> {
  await runMigrations({ connectionString: url, schema: GRAPHILE_SCHEMA })
  await onConnection(url, async (sql) => {
    if (schema) await sql(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}; SET search_path = ${quoteName(schema)}`)
    for (const script of scripts) {
      await sql(script.sql).catch((error: Error) => {
        const message = `The migration ${script.name} failed: ${error.message}`
        throw new AsyncGenError('MIGRATION_FAILED', message, { cause: error })
      })
    }
  })
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  } catch {
    return []
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Its package does not export package.json in every version. */
function graphileVersion(): string {
  for (let dir = dirname(createRequire(import.meta.url).resolve('graphile-worker')); ; dir = dirname(dir)) {
    const text = readIfThere(join(dir, 'package.json'))
    const { name, version } = text === undefined ? {} : (JSON.parse(text) as { name?: string; version?: string })
    if (name === 'graphile-worker' || dir === dirname(dir)) return version ?? ''
  }
}
