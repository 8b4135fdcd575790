import { existsSync } from 'node:fs'
import { join, normalize } from 'node:path/posix'
import type { Manifest } from '../changes/manifest.js'
import { clientsOf } from '../host/clients.js'
import { UsageError } from '../host/errors.js'
import type { Host } from '../host/inspect.js'
import { packageFolder } from '../host/installed-package.js'
import {
  type ClientCandidate,
  type ClientExport,
  type ClientSearch,
  type ClientSource,
  type HostClients,
  isClient,
  isModuleName,
} from '../host/prisma-client.js'
import { hasQueryEngine } from '../host/prisma-schema.js'
import { DATABASE_URL } from '../host/url-variables.js'

/** Asks the user which export to use. `unclear` are modules that make a client, without an export that we recognise. */
export type ChooseClient = (candidates: ClientCandidate[], unclear: string[]) => Promise<ClientCandidate>

/** The PrismaClient that the emitted code imports. */
export interface ClientAnswer {
  client: ClientExport
  clientSource?: ClientSource | undefined
  /** The environment variables with its database URL. */
  urlVariables: string[]
  notes: string[]
}

/** The client from --client, else the one in the manifest, else the only one in the project, else the user's choice. */
export async function answerClient(
  host: Host,
  manifest: Manifest | null,
  dir: string,
  given: { client?: string | undefined; chooseClient?: ChooseClient | undefined },
): Promise<ClientAnswer> {
  const clients = await clientsOf(host)
  const variables = (path: string) => urlVariables(host, clients, path)
  const remembered = given.client === undefined ? rememberedClient(host, manifest) : undefined
  if (remembered) {
    const clientSource = manifest?.generators.install?.clientSource
    return {
      client: remembered,
      clientSource,
      urlVariables: variables(clientSource?.path ?? remembered.path),
      notes: [],
    }
  }
  const { candidate, notes } =
    given.client === undefined
      ? await foundClient(host, clients, given.chooseClient)
      : await namedClient(host, clients, given.client, given.chooseClient)
  const { path, name } = candidate
  if (isClient(candidate)) return { client: { path, name }, urlVariables: variables(path), notes }

  const clientSource = { ...candidate, clientClass: clients.classImportedBy(path) ?? '@prisma/client' }
  if (clientSource.access === null) requireAdapter(host, candidate)
  const own = `${dir}/client.ts`
  return {
    client: { path: own, name: 'prisma' },
    clientSource,
    urlVariables: variables(path),
    notes: [...notes, `${path} exports no PrismaClient: ${own} ${madeFrom(clientSource)}`],
  }
}

function madeFrom({ name, access }: ClientSource): string {
  return access
    ? `exports ${access.replace('$', name === 'default' ? 'its default export' : name)} for async-gen`
    : `makes a PrismaClient for async-gen, because ${name} requires arguments`
}

/** The variables that the client's module reads, else those of prisma.config. In Prisma 6, a client without a URL takes that of the schema. */
function urlVariables({ prisma, schema }: Host, clients: HostClients, path: string): string[] {
  const { urlVariable } = schema
  if (urlVariable !== null && (isModuleName(path) || !clients.passesUrl(path))) return [urlVariable]
  const named = isModuleName(path) ? [] : clients.urlVariablesOf(path)
  if (named.length > 0) return named
  const configured = prisma.config ? clients.configuredUrlVariables(prisma.config) : []
  return configured.length > 0 ? configured : [urlVariable ?? DATABASE_URL]
}

export function clientFlag({ path, name }: ClientExport): string {
  return `${path}#${name}`
}

export function parseClient(flag: string): { path: string; name: string | undefined } {
  const [, path = '', name] = /^(#?[^#]*)(?:#(.*))?$/.exec(flag) ?? []
  return { path, name }
}

export function clientExists(root: string, path: string): boolean {
  return isModuleName(path) || existsSync(join(root, path))
}

function rememberedClient({ root }: Host, manifest: Manifest | null): ClientExport | undefined {
  if (!manifest) return undefined
  const { path, name } = parseClient(manifest.settings.client)
  return name && clientExists(root, path) ? { path, name } : undefined
}

type Found = { candidate: ClientCandidate; notes: string[] }

async function foundClient({ schema }: Host, clients: HostClients, choose: ChooseClient | undefined): Promise<Found> {
  const search = clients.search()
  const { candidates, unclear } = search
  const [first] = candidates
  if (!first) throw noClient(search, schema.major)
  const isOnly = candidates.length === 1 && unclear.length === 0
  if (!isOnly && !choose) throw severalClients(search)
  const candidate = isOnly ? first : await choose!(candidates, unclear)
  return { candidate, notes: serverOnlyNotes(candidate, search.serverOnly) }
}

/**
 * The client that --client names: a file (`src/db.ts`), an export (`src/db.ts#prisma`, which need not look like a client), an
 * alias from tsconfig's paths (`@/db`), or a package (`@acme/db#prisma`).
 */
async function namedClient(
  host: Host,
  clients: HostClients,
  flag: string,
  choose: ChooseClient | undefined,
): Promise<Found> {
  const { root, modules } = host
  const { path, name } = parseClient(flag)
  const file = [path, ...modules.resolvePath(path)].map((each) => sourceFile(root, each)).find(Boolean)
  if (!file) {
    if (name && isPackage(root, path)) return { candidate: { path, name, access: '$' }, notes: [] }
    throw notNamed(flag)
  }
  const exported = clients.exportsOf(file)
  const candidates = name
    ? [exported.find((each) => each.name === name) ?? { path: file, name, access: '$' }]
    : exported
  const [first] = candidates
  if (!first) throw notNamed(flag)
  if (candidates.length > 1 && !choose) throw severalClients({ candidates, serverOnly: [], unclear: [], makers: [] })
  const candidate = candidates.length === 1 ? first : await choose!(candidates, [])
  return { candidate, notes: serverOnlyNotes(candidate, clients.isServerOnly(file) ? [candidate] : []) }
}

function sourceFile(root: string, path: string): string | undefined {
  return ['', '.ts', '.mts', '.tsx', '.js', '.mjs', '/index.ts', '/index.js']
    .map((suffix) => normalize(path) + suffix)
    .find((candidate) => !isModuleName(candidate) && existsSync(join(root, candidate)))
}

function isPackage(root: string, path: string): boolean {
  if (path.startsWith('#')) return true
  const name = /^(@[^/]+\/[^/]+|[^./@][^/]*)/.exec(path)?.[0]
  return name !== undefined && packageFolder(root, name) !== null
}

/** A module that imports `server-only` throws outside of React's server, so a worker that imports it cannot start. */
function serverOnlyNotes(chosen: ClientCandidate, serverOnly: ClientCandidate[]): string[] {
  if (serverOnly.some(({ path }) => path === chosen.path))
    return [
      `${chosen.path} imports 'server-only', so the worker and the specs cannot start: move the client to a module without that import, and name it with --client; or run both with NODE_OPTIONS=--conditions=react-server`,
    ]
  return serverOnly.map(
    ({ path }) => `${path} imports 'server-only', so a worker cannot use it: async-gen uses ${chosen.path}`,
  )
}

/**
 * If the host's class or function requires arguments, we emit a client of our own, which uses @prisma/adapter-pg. In Prisma 6, a client with
 * a query engine needs none.
 */
function requireAdapter({ packageJson, schema }: Host, candidate: ClientCandidate) {
  if (packageJson.packages.includes('@prisma/adapter-pg') || hasQueryEngine(schema)) return
  throw new UsageError({
    code: 'CLIENT_NOT_FOUND',
    message: `${clientFlag(candidate)} makes a PrismaClient, but requires arguments that async-gen does not know.`,
    remedy:
      'Export a client from a module (export const prisma = new PrismaClient({ adapter })), and name it: --client src/db.ts#prisma',
  })
}

function severalClients({ candidates, unclear }: ClientSearch): UsageError {
  const list = candidates.map((each) => `  ${clientFlag(each)}${isClient(each) ? '' : '   (makes a PrismaClient)'}`)
  const others = unclear.map(
    (path) => `  ${path}   (makes a PrismaClient; async-gen does not recognise how it is exported)`,
  )
  const likely = candidates.find(({ name }) => name === 'prisma' || name === 'db') ?? candidates[0]!
  return new UsageError({
    code: 'CLIENT_AMBIGUOUS',
    message: `Several exports may be your PrismaClient:\n${[...list, ...others].join('\n')}`,
    remedy: `Name one of them: --client ${clientFlag(likely)}`,
  })
}

function noClient({ makers }: ClientSearch, major: number): UsageError {
  const example =
    major === 8 ? 'db = postgres<Contract>({ contractJson, url })' : 'prisma = new PrismaClient({ adapter })'
  const flag = major === 8 ? 'src/prisma/db.ts#db' : 'src/db.ts#prisma'
  return new UsageError({
    code: 'CLIENT_NOT_FOUND',
    message:
      makers.length > 0
        ? `No module of this project exports a PrismaClient. These modules make one, and do not export it: ${makers.join(', ')}.`
        : 'No module of this project exports a PrismaClient.',
    remedy: `Export yours from a module (export const ${example}), or name it: --client ${flag}`,
  })
}

function notNamed(flag: string): UsageError {
  return new UsageError({
    code: 'CLIENT_NOT_FOUND',
    message: `--client ${flag} does not name a module that exports a PrismaClient.`,
    remedy: 'Name the file and the export: --client src/db.ts#prisma (or #default)',
  })
}
