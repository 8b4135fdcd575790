import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { answer, clientFlag, type Given } from './answers.js'
import { commit } from './changes/commit.js'
import { type Manifest, type RecordedRun, readManifest } from './changes/manifest.js'
import { type Plan, plan } from './changes/plan.js'
import { validate } from './changes/validate.js'
import type { Answers, Generator } from './generator.js'
import { UsageError } from './host/errors.js'
import { isFolder } from './host/files.js'
import { inspect } from './host/inspect.js'
import { nextSteps } from './next-steps.js'
import { version } from './own-package.js'
import { generators, stageWithPlop } from './plop.js'

export interface Request extends Given {
  generator: Generator['name']
  /** The host's folder, absolute. */
  cwd: string
  schema?: string | undefined
  dryRun?: boolean | undefined
}

export interface Outcome {
  plan: Plan
  /** `blocked`: the plan has a conflict. Nothing is written then. */
  status: 'applied' | 'nothing to do' | 'dry run' | 'blocked'
  nextSteps: string[]
}

/** Runs a generator in a host: inspect, stage, plan, validate, commit. */
export async function generate(request: Request): Promise<Outcome> {
  requireFolder(request.cwd)
  const manifest = readManifest(request.cwd)
  const schema = request.schema ?? manifest?.settings.schema
  const host = await inspect(request.cwd, { schema })
  const generator = generators.find(({ name }) => name === request.generator)!
  const answers = await answer(generator, host, manifest, request)
  if (generator.name !== 'install') requireInstalled(request.cwd, manifest, answers)

  const staged = await stageWithPlop(generator.name, host, answers)
  const planned = plan(host, withAnswers(manifest, generator, answers, schema), staged, new Date())
  const status = statusOf(planned, request)
  if (status !== 'blocked') validate(host, planned.writes)
  if (status === 'applied') commit(host.root, planned.writes)
  return { plan: planned, status, nextSteps: nextSteps(host, planned, generator.firstEdit(answers)) }
}

function statusOf({ changes, writes }: Plan, { dryRun }: Request): Outcome['status'] {
  if (changes.some(({ kind }) => kind === 'conflict')) return 'blocked'
  if (writes.length === 0) return 'nothing to do'
  return dryRun ? 'dry run' : 'applied'
}

function requireFolder(cwd: string) {
  if (isFolder(cwd)) return
  throw new UsageError({
    code: 'NO_SUCH_FOLDER',
    message: `There is no folder ${cwd}.`,
    remedy: 'Name the folder of your application: --cwd <folder>',
  })
}

/** A host may have lost its manifest, or never committed it: the file that the others import says it as well. */
function requireInstalled(root: string, manifest: Manifest | null, { dir }: Answers) {
  if (manifest?.generators.install || existsSync(join(root, dir, 'database.ts'))) return
  throw new UsageError({
    code: 'NOT_INSTALLED',
    message: `async-gen is not installed here: there is no ${dir}/database.ts.`,
    remedy: 'Run this first: npx async-gen install',
  })
}

function withAnswers(manifest: Manifest | null, generator: Generator, answers: Answers, schema?: string): Manifest {
  const owner = generator.owner(answers)
  const before = manifest?.generators[owner]?.names ?? []
  const run: RecordedRun = {
    generator: generator.name,
    names: [...new Set([...before, ...answers.names])],
    ...(answers.model && { model: answers.model }),
    ...(answers.encrypted && { encrypted: true }),
  }
  return {
    version: 1,
    asyncGen: version,
    settings: { dir: answers.dir, client: clientFlag(answers.client), ...(schema && { schema }) },
    generators: { ...manifest?.generators, [owner]: run },
    files: manifest?.files ?? {},
    migrations: manifest?.migrations ?? {},
  }
}
