import { draftChanges } from '../changes/plan.js'
import { UsageError } from '../host/errors.js'
import { type PlanMode, type PlanOutcome, planAndApply, writesIn } from '../pipeline/plan-and-apply.js'
import { type HostLocation, openSession, requireManifest } from '../pipeline/session.js'
import { ejectedPath, stagedTemplate, templateNames } from '../pipeline/templates.js'

export interface EjectRequest extends HostLocation, PlanMode {
  /** A template, or a folder of them: `attempt/async/targets.ts`, `attempt`. */
  template: string
}

/** Copies templates into the host. From then on async-gen uses these copies, and an upgrade merges our changes into them. */
export async function eject(request: EjectRequest): Promise<PlanOutcome> {
  const wanted = request.template.replace(/^\.?\/+|\/+$|\.hbs$/g, '')
  const templates = templateNames().filter((name) => name === wanted || name.startsWith(`${wanted}/`))
  if (templates.length === 0) throw noTemplate(request.template)

  const session = await openSession(request, { writes: writesIn(request) })
  const manifest = requireManifest(session.manifest)
  const { plan, status } = await planAndApply(session, manifest, request, async (draft, planning) => {
    await draftChanges(draft, templates.map(stagedTemplate), planning)
    return []
  })
  return { plan, status, nextSteps: [`Edit ${ejectedPath(templates[0]!)}, then: npx async-gen upgrade`] }
}

function noTemplate(given: string): UsageError {
  return new UsageError({
    code: 'TEMPLATE_UNKNOWN',
    message: `Unknown template "${given}".`,
    remedy: `Choose one of these, or a folder of them:\n${templateNames()
      .map((name) => `       ${name}`)
      .join('\n')}`,
  })
}
