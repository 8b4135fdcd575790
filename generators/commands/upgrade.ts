import type { Draft } from '../changes/draft.js'
import { parseFileKey } from '../changes/manifest.js'
import { draftChanges, manifestKey } from '../changes/plan.js'
import type { Staged } from '../changes/stage.js'
import { version } from '../host/own-package.js'
import { requireClient, sharedAnswers } from '../pipeline/answers.js'
import { nextSteps } from '../pipeline/next-steps.js'
import { type PlanMode, type PlanOutcome, planAndApply, writesIn } from '../pipeline/plan-and-apply.js'
import { stageWithPlop } from '../pipeline/plop.js'
import { recordedRuns } from '../pipeline/recorded-runs.js'
import { type HostLocation, openSession, requireManifest } from '../pipeline/session.js'
import { EJECTED, ejectedTemplates, stagedTemplate, templatesOf } from '../pipeline/templates.js'
import { notesOf } from './generate.js'

export interface UpgradeRequest extends HostLocation, PlanMode {}

/** Updates everything that was generated to this version: merges the newer templates into the host's files, and adds new migrations. */
export async function upgrade(request: UpgradeRequest): Promise<PlanOutcome> {
  const session = await openSession(request, { writes: writesIn(request) })
  const { host } = session
  const manifest = requireManifest(session.manifest)
  const answers = sharedAnswers(host, manifest)
  requireClient(host, answers.client)
  const runs = recordedRuns(manifest, answers)

  const { plan, status } = await planAndApply(
    session,
    { ...manifest, asyncGen: version },
    request,
    async (draft, planning) => {
      // The ejected templates first, because the merged ones render the rest.
      await draftChanges(draft, ejectedTemplates(manifest).map(stagedTemplate), planning)
      const staged = await stageWithPlop(runs, host, templatesOf(draft))
      await draftChanges(draft, staged, planning)
      draftOrphans(draft, staged)
      return notesOf(staged)
    },
  )
  const [first] = runs
  return { plan, status, nextSteps: nextSteps(host, manifest, plan, first ? `Review the changes: git diff` : '') }
}

/** Lists the files that an earlier version emitted and this one does not. They may be in use, so they stay. */
function draftOrphans(draft: Draft, staged: Staged[]) {
  const emitted = new Set(staged.map((item) => manifestKey(draft.host, item)))
  for (const [key, { owner }] of Object.entries(draft.manifest.files)) {
    if (owner === EJECTED || emitted.has(key)) continue
    const { path, section } = parseFileKey(key)
    if (draft.read(path) === null) draft.forget(key)
    else
      draft.changes.push({
        kind: 'orphan',
        path,
        ...(section && { detail: `${section}: this version of async-gen does not emit it` }),
      })
  }
}
