import type { Manifest, RecordedRun } from '../changes/manifest.js'
import { draftChanges } from '../changes/plan.js'
import type { Staged } from '../changes/stage.js'
import type { Generator, GeneratorAnswers } from '../definitions/generator.js'
import { version } from '../host/own-package.js'
import { nothingAdded } from '../host/package-json.js'
import { DATABASE_URL } from '../host/url-variables.js'
import { type GivenAnswers, resolveAnswers } from '../pipeline/answers.js'
import { clientFlag } from '../pipeline/client-answer.js'
import { nextSteps } from '../pipeline/next-steps.js'
import { type PlanMode, type PlanOutcome, planAndApply, writesIn } from '../pipeline/plan-and-apply.js'
import { generators, stageWithPlop } from '../pipeline/plop.js'
import { type HostLocation, locationFlags, openSession, requireInstalled } from '../pipeline/session.js'
import { staleTemplates, templatesOf } from '../pipeline/templates.js'

export interface GenerateRequest extends HostLocation, GivenAnswers, PlanMode {
  generator: Generator['name']
}

export type { PlanOutcome }

/** Runs a generator in a host: inspects the host, stages the texts, plans, validates and commits. */
export async function generate(request: GenerateRequest): Promise<PlanOutcome> {
  const session = await openSession(request, { writes: writesIn(request) })
  const { host, manifest } = session
  const generator = generators.find(({ name }) => name === request.generator)!
  const { answers, notes } = await resolveAnswers(generator, host, manifest, request)
  if (generator.name !== 'install') requireInstalled(host.root, manifest, answers.dir)

  const recorded = withRecordedRun(manifest, generator, answers, request)
  const { plan, status } = await planAndApply(session, recorded, request, async (draft, planning) => {
    const staged = await stageWithPlop([{ generator, answers }], host, templatesOf(draft))
    await draftChanges(draft, staged, planning)
    return [...notes, ...notesOf(staged), ...outdatedNotes(manifest)]
  })
  return { plan, status, nextSteps: nextSteps(host, recorded, plan, generator.firstEdit(answers, plan.writes)) }
}

export function notesOf(staged: Staged[]): string[] {
  return staged.flatMap((item) => (item.kind === 'note' ? [item.text] : []))
}

function outdatedNotes(manifest: Manifest | null): string[] {
  return [
    ...(manifest && manifest.asyncGen !== version
      ? [`async-gen ${manifest.asyncGen} wrote the other files. To update them: npx async-gen upgrade`]
      : []),
    ...staleTemplates(manifest).map(
      (template) =>
        `your copy of the template ${template} is older than ours. To merge our changes: npx async-gen upgrade`,
    ),
  ]
}

function withRecordedRun(
  manifest: Manifest | null,
  generator: Generator,
  answers: GeneratorAnswers,
  place: HostLocation,
): Manifest {
  const owner = generator.owner(answers)
  const before = manifest?.generators[owner]?.names ?? []
  const run: RecordedRun = {
    generator: generator.name,
    names: [...new Set([...before, ...answers.names])],
    ...(answers.model && { model: answers.model }),
    ...(answers.encrypted && { encrypted: true }),
    ...(answers.invalidateOn?.length && { invalidateOn: answers.invalidateOn }),
    ...(answers.framework && { framework: answers.framework }),
    ...(generator.name === 'install' && answers.clientSource && { clientSource: answers.clientSource }),
  }
  const { schema, config, migrations } = { ...manifest?.settings, ...locationFlags(place) }
  const [variable, ...more] = answers.urlVariables
  return {
    version: 1,
    asyncGen: manifest?.asyncGen ?? version,
    settings: {
      dir: answers.dir,
      client: clientFlag(answers.client),
      ...(schema && { schema }),
      ...(config && { config }),
      ...(migrations && { migrations }),
      ...((variable !== DATABASE_URL || more.length > 0) && { urlVariables: answers.urlVariables }),
    },
    generators: { ...manifest?.generators, [owner]: run },
    files: manifest?.files ?? {},
    migrations: manifest?.migrations ?? {},
    package: manifest?.package ?? nothingAdded,
  }
}
