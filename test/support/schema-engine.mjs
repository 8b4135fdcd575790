#!/usr/bin/env node
// Stands in for Prisma's native schema engine, which every Prisma command would otherwise try to download. It answers the
// CLI's JSON-RPC on standard input and output with Prisma's own engine as WebAssembly, over adapter-pg. Its packages
// are those of this repository, wherever the host is.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import pg from 'pg'

const PG_CHAR = 18
const PG_TEXT = 25

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: {
    // The CLI of Prisma 6.16 uses the short name.
    datamodels: { type: 'string', short: 'd', multiple: true },
    datasource: { type: 'string' },
    // Not used here, but they take a value, which would count as a command otherwise.
    'enabled-preview-features': { type: 'string' },
    'extension-types': { type: 'string' },
    version: { type: 'boolean' },
  },
})

class MigrationAdapter extends PrismaPg {
  #config

  constructor(config) {
    super(config)
    this.#config = config
  }

  async connect() {
    return runningScriptsWhole(readingCatalogs(await super.connect()))
  }

  // adapter-pg drops the shadow database while it is still connected to it.
  async connectToShadowDb() {
    const main = await this.connect()
    const database = `prisma_migrate_shadow_db_${crypto.randomUUID()}`
    await main.executeScript(`CREATE DATABASE "${database}"`)
    const adapter = await new PrismaPg({ ...this.#config, database }).connect()
    const shadow = runningScriptsWhole(readingCatalogs(adapter))
    const dispose = shadow.dispose.bind(shadow)
    shadow.dispose = async () => {
      await dispose()
      await main.executeScript(`DROP DATABASE "${database}" WITH (FORCE)`)
      await main.dispose()
    }
    return shadow
  }
}

const ENGINE = [
  '@prisma/schema-engine-wasm/schema_engine_bg',
  () => import('@prisma/schema-engine-wasm/schema_engine_bg'),
]
const ENGINE_OF_PRISMA_6 = [
  'prisma-6-schema-engine-wasm/schema_engine_bg',
  () => import('prisma-6-schema-engine-wasm/schema_engine_bg'),
]

if (flags.version) {
  console.log(`schema-engine-cli ${(await loadEngine(ENGINE)).version()}`)
} else {
  if (positionals[0] === 'cli')
    process.exitCode = await administer(positionals[1], connectionConfig(urlOf(flags.datasource)))
  else await answer()
  // The engine leaves its connections open.
  process.exit()
}

async function loadEngine([name, load]) {
  const entry = createRequire(import.meta.url).resolve(name)
  const bindings = await load()
  const wasm = readFileSync(entry.replace(/\.js$/, '.wasm'))
  const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': bindings })
  bindings.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  return bindings
}

/** The CLI of Prisma 7 passes JSON, that of Prisma 6 the URL. */
function urlOf(datasource) {
  return datasource.startsWith('{') ? JSON.parse(datasource).url : datasource
}

/** The URL in a schema of Prisma 6, which names an environment variable or contains it; undefined for a schema of Prisma 7. */
function urlInSchema(files) {
  const [, variable, url] =
    files.map(([, text]) => /^\s*url\s*=\s*(?:env\("(\w+)"\)|"([^"]+)")/m.exec(text)).find(Boolean) ?? []
  return variable ? process.env[variable] : url
}

function connectionConfig(url) {
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    host: decodeURIComponent(hostname),
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
  }
}

/** The engine's commands outside of JSON-RPC: is the database there, create it, drop it. */
async function administer(command, config) {
  const client = new pg.Client(command === 'can-connect-to-database' ? config : { ...config, database: 'postgres' })
  const database = pg.escapeIdentifier(config.database)
  try {
    await client.connect()
    if (command === 'create-database') await client.query(`CREATE DATABASE ${database}`)
    if (command === 'drop-database') await client.query(`DROP DATABASE ${database} WITH (FORCE)`)
    return 0
  } catch (error) {
    const fields = errorData(error, error.code === '3D000' ? 'P1003' : 'P1001')
    // The CLI skips the first line, and reads the error from a line of this target.
    console.error(JSON.stringify({ level: 'INFO', fields: { message: 'Looked for the database' } }))
    console.error(JSON.stringify({ level: 'ERROR', target: 'schema_engine::logger', fields }))
    return 1
  } finally {
    await client.end().catch(() => {})
  }
}

async function answer() {
  const datamodels = flags.datamodels?.map((path) => [path, readFileSync(path, 'utf8')])
  let engine
  let config
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, method, params } = JSON.parse(line)
    // Without a method it is the CLI's answer to a `print` of ours.
    if (!method) continue
    try {
      const files = params.schema?.files ?? params.to?.files ?? params.from?.files
      const schema = datamodels ?? files?.map(({ path, content }) => [path, content])
      if (!engine) {
        const ofPrisma6 = urlInSchema(schema ?? [])
        config = connectionConfig(flags.datasource ? urlOf(flags.datasource) : ofPrisma6)
        const { SchemaEngine } = await loadEngine(ofPrisma6 ? ENGINE_OF_PRISMA_6 : ENGINE)
        const adapter = bindMigrationAwareSqlAdapterFactory(new MigrationAdapter(config))
        engine = await SchemaEngine.new({ datamodels: schema }, () => {}, adapter)
      }
      // As WebAssembly, this method finds no shadow database. It needs none where `devDiagnostic` has just replayed the migrations.
      if (method === 'evaluateDataLoss')
        await engine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters })
      const compare = usesPartialIndexes(params.schema) && { schemaPush, evaluateDataLoss, createMigration }[method]
      const result = (await (compare ? compare(engine, params, config) : engine[method](params))) ?? {}
      // The CLI prints a diff only when it is told to, on the way.
      if (method === 'diff') send({ id: 0, method: 'print', params: { content: result.stdout ?? '' } })
      send({ id, result })
    } catch (error) {
      send({ id, error: { code: 4466, message: 'error', data: errorData(error, error.code ?? null) } })
    }
  }
}

function usesPartialIndexes(schema) {
  return schema?.files.some(({ content }) => /previewFeatures\s*=.*"partialIndexes"/.test(content))
}

// As WebAssembly, the engine sees the partial indexes of a database in `diff` alone, whatever preview features the schema
// switches on. Where it switches on `partialIndexes`, these three compare with `diff`. They warn of no loss of data.
async function schemaPush(engine, { schema, filters }, config) {
  const from = { tag: 'schemaDatasource', files: schema.files, configDir: '' }
  const script = await difference(engine, from, schema, filters)
  if (script) {
    const client = new pg.Client(config)
    await client.connect()
    await client.query(script).finally(() => client.end())
  }
  return { executedSteps: script ? 1 : 0, unexecutable: [], warnings: [] }
}

async function evaluateDataLoss(engine, { migrationsList, schema, filters }) {
  const script = await difference(engine, { tag: 'migrations', ...migrationsList }, schema, filters)
  return { migrationSteps: script ? 1 : 0, unexecutableSteps: [], warnings: [] }
}

async function createMigration(engine, { migrationsList, migrationName, draft, schema, filters }) {
  const script = await difference(engine, { tag: 'migrations', ...migrationsList }, schema, filters)
  const time = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
  return {
    connectorType: 'postgresql',
    generatedMigrationName: `${time}_${migrationName}`,
    migrationScript: script ?? (draft ? '-- This is an empty migration.' : null),
    extension: 'sql',
  }
}

/** The SQL that brings `from` to where the schema is; null where it is there. */
async function difference(engine, from, { files }, filters) {
  const to = { tag: 'schemaDatamodel', files }
  const { stdout, exitCode } = await engine.diff({
    from,
    to,
    filters,
    script: true,
    exitCode: true,
    shadowDatabaseUrl: null,
  })
  return exitCode === 0 ? null : stdout
}

function send(message) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
}

function errorData(error, code) {
  return { is_panic: false, message: error.message, error_code: code, meta: {} }
}

// adapter-pg cuts a migration at every semicolon, those in the bodies of functions too; PostgreSQL takes it whole.
function runningScriptsWhole(adapter) {
  adapter.executeScript = async (script) => {
    await adapter.client.query(script).catch((error) => adapter.onError(error))
  }
  return adapter
}

// The engine describes a database through catalog flags of PostgreSQL's one-byte type "char", which adapter-pg refuses:
// they pass it as text and reach the engine as characters.
function readingCatalogs(adapter) {
  const performIO = adapter.performIO.bind(adapter)
  const queryRaw = adapter.queryRaw.bind(adapter)
  let isChar = []

  adapter.performIO = async (query) => {
    const result = await performIO(query)
    isChar = result.fields.map((field) => field.dataTypeID === PG_CHAR)
    for (const field of result.fields) if (field.dataTypeID === PG_CHAR) field.dataTypeID = PG_TEXT
    return result
  }

  adapter.queryRaw = async (query) => {
    const result = await queryRaw(query)
    for (const index of isChar.keys()) {
      if (!isChar[index]) continue
      result.columnTypes[index] = ColumnTypeEnum.Character
      for (const row of result.rows) if (row[index] === '') row[index] = '\0'
    }
    return result
  }

  return adapter
}
