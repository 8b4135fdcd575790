import { isAbsolute, normalize } from 'node:path/posix'
import { MANIFEST, type Manifest } from './changes/manifest.js'
import { answerClient, type ChooseClient, isThere, parseClient } from './client-answer.js'
import type { Answers, Generator } from './generator.js'
import { HostError, UsageError } from './host/errors.js'
import { fileInPath } from './host/files.js'
import type { Host } from './host/inspect.js'
import type { ClientExport } from './host/prisma-client.js'
import { DATABASE_URL } from './host/url-variables.js'
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
  chooseClient?: ChooseClient | undefined
}

export interface Answered {
  answers: Answers
  /** What the user should know of how they were found. */
  notes: string[]
}

/** The answers for a run: from the command line, else from the run before, else from looking, else from the user. */
export async function answer(
  generator: Generator,
  host: Host,
  manifest: Manifest | null,
  given: Given,
): Promise<Answered> {
  const dir = folder(host, manifest, given.dir)
  requireNoFile(host, dir)
  const { notes, ...client } = await answerClient(host, manifest, dir, given)
  const answers: Answers = {
    names: [...new Set(given.names.map((name) => generator.parseName?.(name) ?? className(name)))],
    dir,
    ...client,
    model: generator.name === 'reports' ? reportModel(manifest, given.model) : undefined,
  }
  const before = manifest?.generators[generator.owner(answers)]
  const invalidateOn = [...new Set([...(before?.invalidateOn ?? []), ...(given.invalidateOn ?? [])])]
  return { answers: { ...answers, encrypted: given.encrypted ?? before?.encrypted, invalidateOn }, notes }
}

/** The answers that all generators share, as an earlier run left them. */
export function shared(host: Host, { settings }: Manifest): SharedAnswers {
  requireNoFile(host, settings.dir)
  const { path, name = 'default' } = parseClient(settings.client)
  return { dir: settings.dir, client: { path, name }, urlVariables: settings.urlVariables ?? [DATABASE_URL] }
}

export type SharedAnswers = Pick<Answers, 'dir' | 'client' | 'urlVariables'>

/** What is to be written again has to import a client that is there. */
export function requireClient({ root }: Host, { path }: ClientExport) {
  if (isThere(root, path)) return
  throw new UsageError({
    code: 'CLIENT_GONE',
    message: `The module that exported the PrismaClient is not there: ${path}.`,
    remedy: 'Name the new one first: npx async-gen install --client src/db.ts#prisma',
  })
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

function requireNoFile({ root }: Host, dir: string) {
  const file = fileInPath(root, dir)
  if (file === undefined) return
  throw new HostError({
    code: 'DIR_IS_FILE',
    message: `async-gen cannot write into the folder ${dir}: ${file} is a file.`,
    where: file,
    remedy: `Rename the file, or correct "dir" in ${MANIFEST} if that names the wrong folder.`,
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
