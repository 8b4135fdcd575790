import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { join as hostJoin } from 'node:path/posix'
import { pathToFileURL } from 'node:url'
import { readText } from './files.js'
import { DATABASE_URL } from './url-variables.js'

/** A connection to the host's database, for questions. The CLI changes nothing there. */
export interface Client {
  query<Row = Record<string, never>>(sql: string, parameters?: unknown[]): Promise<{ rows: Row[] }>
  end(): Promise<void>
}

/** Why the database cannot be looked at. */
export interface Unreachable {
  code: 'DATABASE_URL_MISSING' | 'PG_MISSING' | 'DATABASE_UNREACHABLE' | 'DATABASE_ABSENT'
  message: string
  /** The environment variable that should name the database. */
  where: string
  remedy: string
}

export type Opened = { url: string; client: Client } | { unreachable: Unreachable }

/**
 * Connects to the database that the worker would use, with the host's own pg, since the CLI brings none.
 *
 * @param dir the folder of the generated code, whose database.ts names the environment variables
 * @param url where the database is, in place of that variable
 */
export async function openDatabase(root: string, dir: string, url?: string): Promise<Opened> {
  const variables = urlVariables(root, dir)
  const [where] = variables
  const connectionString = url ?? variables.map((name) => process.env[name]).find(Boolean)
  if (!connectionString) {
    return unreachable('DATABASE_URL_MISSING', where, `${where} is not set.`, `Set it: ${where}=postgres://…`)
  }
  const pg = pgOf(root)
  if (!pg) {
    const remedy = 'Install the dependencies: graphile-worker brings pg.'
    return unreachable('PG_MISSING', where, 'The package pg is not installed.', remedy)
  }
  const { default: module } = await import(pathToFileURL(pg).href)
  const client: Client & { connect(): Promise<void> } = new module.Client({
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
    const remedy = `Start it, or name another: ${where}=postgres://…`
    return unreachable(absent ? 'DATABASE_ABSENT' : 'DATABASE_UNREACHABLE', where, message, remedy)
  }
}

/** The server is there, and has no database of that name. */
const INVALID_CATALOG_NAME = '3D000'

function unreachable(code: Unreachable['code'], where: string, message: string, remedy: string) {
  return { unreachable: { code, where, message, remedy } }
}

/** The environment variables that the host's database.ts reads, in its order. */
function urlVariables(root: string, dir: string): [string, ...string[]] {
  const module = readText(root, hostJoin(dir, 'database.ts')) ?? ''
  const found = module.matchAll(/process\.env(?:\.(\w+)|\[\s*['"](\w+)['"]\s*\])/g)
  const [first = DATABASE_URL, ...others] = [...found].map(([, property, quoted]) => property ?? quoted!)
  return [first, ...others]
}

/** Prisma's URLs may name the schema that the tables are in, which pg ignores: `?schema=shop`. */
async function useSchemaOf(url: string, client: Client) {
  const schema = URL.canParse(url) && new URL(url).searchParams.get('schema')
  if (!schema || schema === 'public') return
  await client.query(`SELECT set_config('search_path', quote_ident($1) || ', public', false)`, [schema])
}

/** Where the host's own pg is, or the one that Graphile Worker brings along; pnpm keeps that where the link leads. */
function pgOf(root: string): string | null {
  const { resolve } = createRequire(join(root, 'package.json'))
  const beside = (resolve.paths('graphile-worker') ?? [])
    .map((folder) => join(folder, 'graphile-worker', 'package.json'))
    .find(existsSync)
  for (const from of [join(root, 'package.json'), ...(beside ? [beside] : [])]) {
    try {
      return createRequire(realpathSync(from)).resolve('pg')
    } catch {
      // not there: look at the next place
    }
  }
  return null
}
