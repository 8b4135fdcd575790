import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { join as hostJoin } from 'node:path/posix'
import { pathToFileURL } from 'node:url'
import { readText } from './files.js'
import { packageFolder } from './installed-package.js'
import { DATABASE_URL } from './url-variables.js'

/** A connection to the host's database. The CLI only reads. */
export interface DatabaseClient {
  query<Row = Record<string, never>>(sql: string, parameters?: unknown[]): Promise<{ rows: Row[] }>
  end(): Promise<void>
}

/** Why the database cannot be checked. */
export interface Unreachable {
  code: 'DATABASE_URL_MISSING' | 'PG_MISSING' | 'DATABASE_UNREACHABLE' | 'DATABASE_ABSENT'
  message: string
  /** The environment variable that should name the database. */
  where: string
  remedy: string
}

export type Opened = { url: string; client: DatabaseClient } | { unreachable: Unreachable }

/**
 * Connects to the database of the worker, with the host's own pg, because the CLI does not depend on pg.
 *
 * @param dir the folder of the generated code; its database.ts names the environment variables
 * @param url the URL of the database, instead of those variables
 */
export async function openDatabase(root: string, dir: string, url?: string): Promise<Opened> {
  const variables = urlVariables(root, dir)
  const [where] = variables
  const connectionString = url ?? variables.map((name) => process.env[name]).find(Boolean)
  if (!connectionString) {
    return unreachable('DATABASE_URL_MISSING', where, `${where} is not set.`, `Set the variable: ${where}=postgres://…`)
  }
  const pg = pgOf(root)
  if (!pg) {
    const remedy = 'Install the dependencies. pg is a dependency of graphile-worker.'
    return unreachable('PG_MISSING', where, 'The package pg is not installed.', remedy)
  }
  const { default: module } = await import(pathToFileURL(pg).href)
  const client: DatabaseClient & { connect(): Promise<void> } = new module.Client({
    connectionString,
    connectionTimeoutMillis: 5000,
    statement_timeout: 5000,
  })
  try {
    await client.connect()
    await useSchemaOf(connectionString, client)
    return { url: connectionString, client }
  } catch (error) {
    await client.end().catch(() => {})
    const { code, message } = error as Error & { code?: string }
    const absent = code === INVALID_CATALOG_NAME
    const remedy = `Start or create the database, or set another URL: ${where}=postgres://…`
    return unreachable(absent ? 'DATABASE_ABSENT' : 'DATABASE_UNREACHABLE', where, message, remedy)
  }
}

/** The error code of a server that has no database of that name. */
const INVALID_CATALOG_NAME = '3D000'

function unreachable(code: Unreachable['code'], where: string, message: string, remedy: string) {
  return { unreachable: { code, where, message, remedy } }
}

/** The environment variables that the host's database.ts reads, in their order. */
function urlVariables(root: string, dir: string): [string, ...string[]] {
  const module = readText(root, hostJoin(dir, 'database.ts')) ?? ''
  const found = module.matchAll(/process\.env(?:\.(\w+)|\[\s*['"](\w+)['"]\s*\])/g)
  const [first = DATABASE_URL, ...others] = [...found].map(([, property, quoted]) => property ?? quoted!)
  return [first, ...others]
}

/** Sets the search path to the schema in Prisma's URL (`?schema=shop`), which pg ignores. */
async function useSchemaOf(url: string, client: DatabaseClient) {
  const schema = URL.canParse(url) && new URL(url).searchParams.get('schema')
  if (!schema || schema === 'public') return
  await client.query(`SELECT set_config('search_path', quote_ident($1) || ', public', false)`, [schema])
}

/** The path of the host's own pg, else that of Graphile Worker's. pnpm keeps the latter beside the target of its link. */
function pgOf(root: string): string | null {
  for (const folder of [root, packageFolder(root, 'graphile-worker')]) {
    if (folder === null) continue
    try {
      return createRequire(realpathSync(join(folder, 'package.json'))).resolve('pg')
    } catch {
      // Not installed there: try the next path.
    }
  }
  return null
}
