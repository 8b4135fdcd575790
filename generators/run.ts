import { answer, type Given } from './answers.js'
import type { Manifest, RecordedRun } from './changes/manifest.js'
import { draftChanges } from './changes/plan.js'
import type { Staged } from './changes/stage.js'
import { clientFlag } from './client-answer.js'
import type { Answers, Generator } from './generator.js'
import { nothingAdded } from './host/package-json.js'
import { DATABASE_URL } from './host/url-variables.js'
import { nextSteps } from './next-steps.js'
import { version } from './own-package.js'
import { type Mode, type Outcome, perform, writesIn } from './perform.js'
import { generators, stageWithPlop } from './plop.js'
import { given, openSession, type Place, requireInstalled } from './session.js'
import { staleTemplates, templatesOf } from './templates.js'

export interface Request extends Place, Given, Mode {
  generator: Generator['name']
}

export type { Outcome }

/** Runs a generator in a host: inspect, stage, plan, validate, commit. */
export async function generate(request: Request): Promise<Outcome> {
  const session = await openSession(request, { writes: writesIn(request) })
  const { host, manifest } = session
  const generator = generators.find(({ name }) => name === request.generator)!
  const { answers, notes } = await answer(generator, host, manifest, request)
  if (generator.name !== 'install') requireInstalled(host.root, manifest, answers.dir)

  const recorded = withRun(manifest, generator, answers, request)
  const { plan, status } = await perform(session, recorded, request, async (draft, planning) => {
    const staged = await stageWithPlop([{ generator, answers }], host, templatesOf(draft))
    await draftChanges(draft, staged, planning)
    return [...notes, ...notesOf(staged), ...olderParts(manifest)]
  })
  return { plan, status, nextSteps: nextSteps(host, recorded, plan, generator.firstEdit(answers)) }
}

export function notesOf(staged: Staged[]): string[] {
  return staged.flatMap((item) => (item.kind === 'note' ? [item.text] : []))
}

function olderParts(manifest: Manifest | null): string[] {
  return [
    ...(manifest && manifest.asyncGen !== version
      ? [`async-gen ${manifest.asyncGen} wrote the other files: npx async-gen upgrade`]
      : []),
    ...staleTemplates(manifest).map(
      (template) => `your template ${template} is older than ours: npx async-gen upgrade`,
    ),
  ]
}

function withRun(manifest: Manifest | null, generator: Generator, answers: Answers, place: Place): Manifest {
  const owner = generator.owner(answers)
  const before = manifest?.generators[owner]?.names ?? []
  const run: RecordedRun = {
    generator: generator.name,
    names: [...new Set([...before, ...answers.names])],
    ...(answers.model && { model: answers.model }),
    ...(answers.encrypted && { encrypted: true }),
    ...(answers.invalidateOn?.length && { invalidateOn: answers.invalidateOn }),
    ...(generator.name === 'install' && answers.clientSource && { clientSource: answers.clientSource }),
  }
  const { schema, config, migrations } = { ...manifest?.settings, ...given(place) }
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
