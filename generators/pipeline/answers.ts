import { isAbsolute, normalize } from 'node:path/posix'
import { MANIFEST, type Manifest } from '../changes/manifest.js'
import { detectFramework, parseFramework } from '../definitions/dashboard.js'
import type { GeneratedClasses, Generator, GeneratorAnswers } from '../definitions/generator.js'
import { className, snakeCase } from '../definitions/names.js'
import { ConflictError, HostError, UsageError } from '../host/errors.js'
import { fileInPath } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { ClientExport } from '../host/prisma-client.js'
import { DATABASE_URL } from '../host/url-variables.js'
import { answerClient, type ChooseClient, clientExists, parseClient } from './client-answer.js'

/** The answers on the command line, and the question that may ask for another. */
export interface GivenAnswers {
  /** As the user typed them: `email-attempt`. */
  names: string[]
  dir?: string | undefined
  client?: string | undefined
  /** The model of the reports: `SalesReport`. */
  model?: string | undefined
  encrypted?: boolean | undefined
  invalidateOn?: string[] | undefined
  framework?: string | undefined
  /** Asks the user; absent if nobody can answer, as in CI. */
  chooseClient?: ChooseClient | undefined
}

export interface AnswersFound {
  answers: GeneratorAnswers
  /** What the user needs to know about the answers that async-gen found itself. */
  notes: string[]
}

/** The answers of a run. Sources, in this order: the command line, the manifest, the project's sources, the user. */
export async function resolveAnswers(
  generator: Generator,
  host: Host,
  manifest: Manifest | null,
  given: GivenAnswers,
): Promise<AnswersFound> {
  const dir = folder(host, manifest, given.dir)
  requireNoFile(host, dir)
  const { notes, ...client } = await answerClient(host, manifest, dir, given)
  const isDashboard = generator.name === 'dashboard'
  const answers: GeneratorAnswers = {
    names: isDashboard ? [] : [...new Set(given.names.map((name) => generator.parseName?.(name) ?? className(name)))],
    dir,
    ...client,
    generated: generatedClasses(manifest),
    model: generator.name === 'reports' ? reportModel(manifest, given.model) : undefined,
  }
  if (generator.name === 'reports') requireFileOfItsOwn(answers)
  const before = manifest?.generators[generator.owner(answers)]
  const invalidateOn = [...new Set([...(before?.invalidateOn ?? []), ...(given.invalidateOn ?? [])])]
  const framework = isDashboard ? frameworkOf(host, before?.framework, given) : undefined
  return { answers: { ...answers, encrypted: given.encrypted ?? before?.encrypted, invalidateOn, framework }, notes }
}

/** The answers that all generators share, from the manifest. */
export function sharedAnswers(host: Host, manifest: Manifest): SharedAnswers {
  const { settings } = manifest
  requireNoFile(host, settings.dir)
  const { path, name = 'default' } = parseClient(settings.client)
  return {
    dir: settings.dir,
    client: { path, name },
    urlVariables: settings.urlVariables ?? [DATABASE_URL],
    generated: generatedClasses(manifest),
  }
}

export type SharedAnswers = Pick<GeneratorAnswers, 'dir' | 'client' | 'urlVariables' | 'generated'>

/** The emitted code imports the client, so its module has to exist. */
export function requireClient({ root }: Host, { path }: ClientExport) {
  if (clientExists(root, path)) return
  throw new UsageError({
    code: 'CLIENT_GONE',
    message: `The module ${path}, which exported the PrismaClient, no longer exists.`,
    remedy: 'Name the new module first: npx async-gen install --client src/db.ts#prisma',
  })
}

/** The framework on the command line (plop has it as a name), else the recorded one, else the one that package.json names. */
function frameworkOf(host: Host, recorded: string | undefined, { framework, names }: GivenAnswers): string {
  const given = framework ?? names[0]
  return given === undefined ? (recorded ?? detectFramework(host)) : parseFramework(given)
}

/** The classes that runs of `attempt` and `reports` have written. */
export function generatedClasses(manifest: Manifest | null): GeneratedClasses {
  const runs = Object.entries(manifest?.generators ?? {})
  return {
    attempts: runs.flatMap(([owner, { generator }]) => (generator === 'attempt' ? [owner.split(' ')[1]!] : [])),
    reports: runs.flatMap(([, { generator, names }]) => (generator === 'reports' ? names : [])),
  }
}

/** The model on the command line, else the only one in the manifest, else `Report`. */
function reportModel(manifest: Manifest | null, given: string | undefined): string {
  if (given !== undefined) return given === 'Report' ? given : className(given)
  const there = Object.values(manifest?.generators ?? {}).flatMap((run) =>
    run.generator === 'reports' ? [run.model ?? 'Report'] : [],
  )
  if (there.length < 2 || there.includes('Report')) return there.length === 1 ? there[0]! : 'Report'
  throw new UsageError({
    code: 'MODEL_AMBIGUOUS',
    message: `This project has several models for reports: ${there.join(', ')}.`,
    remedy: `Name one of them: --model ${there[0]}`,
  })
}

/** The file of `MonthlySales` is also that of `MonthlySALES`, which would replace its class. */
function requireFileOfItsOwn({ names, generated, dir }: GeneratorAnswers) {
  for (const name of names) {
    const other = [...generated.reports, ...names].find((each) => each !== name && snakeCase(each) === snakeCase(name))
    if (!other) continue
    throw new ConflictError({
      code: 'FILE_TAKEN',
      message: `The reports ${other} and ${name} would have the same file: ${dir}/reports/${snakeCase(name)}.ts.`,
      remedy: 'Choose another name.',
    })
  }
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
      remedy: 'Name a folder relative to the project: --dir src/async',
    })
  }
  if (installed && installed !== dir) {
    throw new UsageError({
      code: 'DIR_DIFFERS',
      message: `async-gen is installed in ${installed}, not in ${dir}.`,
      remedy: 'Remove --dir from the command: async-gen remembers the folder.',
    })
  }
  return dir
}
