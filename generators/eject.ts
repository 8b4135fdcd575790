import { draftChanges } from './changes/plan.js'
import { UsageError } from './host/errors.js'
import { type Mode, type Outcome, perform, writesIn } from './perform.js'
import { requireManifest } from './recorded.js'
import { openSession, type Place } from './session.js'
import { ejectedPath, stagedTemplate, templateNames } from './templates.js'

export interface EjectRequest extends Place, Mode {
  /** A template, or a folder of them: `attempt/async/targets.ts`, `attempt`. */
  template: string
}

/** Copies templates into the host, where they win over ours from then on, and are merged at an upgrade. */
export async function eject(request: EjectRequest): Promise<Outcome> {
  const wanted = request.template.replace(/^\.?\/+|\/+$|\.hbs$/g, '')
  const templates = templateNames().filter((name) => name === wanted || name.startsWith(`${wanted}/`))
  if (templates.length === 0) throw noTemplate(request.template)

  const session = await openSession(request, { writes: writesIn(request) })
  const manifest = requireManifest(session.manifest)
  const { plan, status } = await perform(session, manifest, request, async (draft, planning) => {
    await draftChanges(draft, templates.map(stagedTemplate), planning)
    return []
  })
  return { plan, status, nextSteps: [`Edit ${ejectedPath(templates[0]!)}, then: npx async-gen upgrade`] }
}

function noTemplate(given: string): UsageError {
  return new UsageError({
    code: 'TEMPLATE_UNKNOWN',
    message: `There is no template "${given}".`,
    remedy: `Name one of these, or a folder of them:\n${templateNames()
      .map((name) => `       ${name}`)
      .join('\n')}`,
  })
}
