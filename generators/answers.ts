import { existsSync } from 'node:fs'
import { isAbsolute, join, normalize } from 'node:path/posix'
import type { Manifest } from './changes/manifest.js'
import type { Answers, Generator } from './generator.js'
import { UsageError } from './host/errors.js'
import { readText } from './host/files.js'
import type { Host } from './host/inspect.js'
import { type ClientExport, clientExports, clientMakersIn, findClients, isModuleName } from './host/prisma-client.js'
import { className } from './names.js'

/** What the command line says, and who can be asked for the rest. */
export interface Given {
  /** As they were typed: `email-attempt`. */
  names: string[]
  dir?: string | undefined
  client?: string | undefined
  /** The model of the reports: `SalesReport`. */
  model?: string | undefined
  encrypted?: boolean | undefined
  invalidateOn?: string[] | undefined
  /** Asks the user; absent where nobody is there to answer. */
  chooseClient?: ((candidates: ClientExport[]) => Promise<ClientExport>) | undefined
}

/** The answers for a run: from the command line, else from the run before, else from looking, else from the user. */
export async function answer(
  generator: Generator,
  host: Host,
  manifest: Manifest | null,
  given: Given,
): Promise<Answers> {
  const answers: Answers = {
    names: [...new Set(given.names.map((name) => generator.parseName?.(name) ?? className(name)))],
    dir: folder(host, manifest, given.dir),
    client: await client(host, manifest, given),
    model: generator.name === 'reports' ? reportModel(manifest, given.model) : undefined,
  }
  const before = manifest?.generators[generator.owner(answers)]
  const invalidateOn = [...new Set([...(before?.invalidateOn ?? []), ...(given.invalidateOn ?? [])])]
  return { ...answers, encrypted: given.encrypted ?? before?.encrypted, invalidateOn }
}

/** The answers that all generators share, as an earlier run left them. */
export function shared({ settings }: Manifest): Pick<Answers, 'dir' | 'client'> {
  const { path, name = 'default' } = parseClient(settings.client)
  return { dir: settings.dir, client: { path, name } }
}

/** What is to be written again has to import a client that is there. */
export function requireClient({ root }: Host, { path }: ClientExport) {
  if (isThere(root, path)) return
  throw new UsageError({
    code: 'CLIENT_GONE',
    message: `The module that exported the PrismaClient is not there: ${path}.`,
    remedy: 'Name the new one first: npx async-gen install --client src/db.ts#prisma',
  })
}

export function clientFlag({ path, name }: ClientExport): string {
  return `${path}#${name}`
}

/** The one that was named, else the one that is there, else `Report`. */
function reportModel(manifest: Manifest | null, given: string | undefined): string {
  if (given !== undefined) return given === 'Report' ? given : className(given)
  const there = Object.values(manifest?.generators ?? {}).flatMap((run) =>
    run.generator === 'reports' ? [run.model ?? 'Report'] : [],
  )
  if (there.length < 2 || there.includes('Report')) return there.length === 1 ? there[0]! : 'Report'
  throw new UsageError({
    code: 'MODEL_AMBIGUOUS',
    message: `There are several models for reports: ${there.join(', ')}.`,
    remedy: `Say which: --model ${there[0]}`,
  })
}

function folder(host: Host, manifest: Manifest | null, given: string | undefined): string {
  const installed = manifest?.settings.dir
  if (given === undefined) return installed ?? (host.src ? 'src/async' : 'async')
  const dir = normalize(given.replaceAll('\\', '/')).replace(/\/$/, '')
  if (isAbsolute(dir) || dir === '.' || dir.startsWith('..')) {
    throw new UsageError({
      code: 'DIR_INVALID',
      message: `--dir ${given} is not a folder inside the project.`,
      remedy: 'Name one relative to the project: --dir src/async',
    })
  }
  if (installed && installed !== dir) {
    throw new UsageError({
      code: 'DIR_DIFFERS',
      message: `async-gen is installed in ${installed}, not in ${dir}.`,
      remedy: 'Leave --dir out: the folder is remembered.',
    })
  }
  return dir
}

async function client(host: Host, manifest: Manifest | null, given: Given): Promise<ClientExport> {
  if (given.client === undefined && manifest) {
    const { path, name } = parseClient(manifest.settings.client)
    if (name && isThere(host.root, path)) return { path, name }
  }
  const candidates = given.client === undefined ? findClients(host.root) : namedClients(host, given.client)
  if (candidates.length === 1) return candidates[0]!
  if (candidates.length > 1 && given.chooseClient) return given.chooseClient(candidates)
  throw candidates.length > 1 ? severalClients(candidates) : noClient(host.root, given.client)
}

/**
 * The exports that --client can mean: `src/db.ts#prisma` is taken at its word, `src/db.ts` is read, `@/db` is looked up in
 * tsconfig's paths, and `@acme/db#prisma` is a package.
 */
function namedClients({ root, modules }: Host, flag: string): ClientExport[] {
  const { path, name } = parseClient(flag)
  const file = [path, ...modules.resolvePath(path)].map((candidate) => sourceFile(root, candidate)).find(Boolean)
  if (!file) return name && isPackage(root, path) ? [{ path, name }] : []
  return name
    ? [{ path: file, name }]
    : clientExports(readText(root, file)!).map((found) => ({ path: file, name: found }))
}

function sourceFile(root: string, path: string): string | undefined {
  return ['', '.ts', '.mts', '.tsx', '.js', '.mjs', '/index.ts', '/index.js']
    .map((suffix) => normalize(path) + suffix)
    .find((candidate) => !isModuleName(candidate) && existsSync(join(root, candidate)))
}

function isPackage(root: string, path: string): boolean {
  if (path.startsWith('#')) return true
  const name = /^(@[^/]+\/[^/]+|[^./@][^/]*)/.exec(path)?.[0]
  return name !== undefined && existsSync(join(root, 'node_modules', name))
}

function isThere(root: string, path: string): boolean {
  return isModuleName(path) || existsSync(join(root, path))
}

function parseClient(flag: string): { path: string; name: string | undefined } {
  const [, path = '', name] = /^(#?[^#]*)(?:#(.*))?$/.exec(flag) ?? []
  return { path, name }
}

function severalClients(candidates: ClientExport[]): UsageError {
  return new UsageError({
    code: 'CLIENT_AMBIGUOUS',
    message: `Several exports may be your PrismaClient:\n${candidates.map((each) => `  ${clientFlag(each)}`).join('\n')}`,
    remedy: `Say which: --client ${clientFlag(candidates[0]!)}`,
  })
}

function noClient(root: string, flag: string | undefined): UsageError {
  const code = 'CLIENT_NOT_FOUND'
  if (flag) {
    return new UsageError({
      code,
      message: `--client ${flag} names no module that exports a PrismaClient.`,
      remedy: 'Name the file and the export: --client src/db.ts#prisma (or #default)',
    })
  }
  const makers = clientMakersIn(root)
  return new UsageError({
    code,
    message:
      makers.length > 0
        ? `No module of this project exports a PrismaClient, though these make one: ${makers.join(', ')}.`
        : 'No module of this project exports a PrismaClient.',
    remedy:
      'Export yours from a module (export const prisma = new PrismaClient({ adapter })), or name it: --client src/db.ts#prisma',
  })
}
