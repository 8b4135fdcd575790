import { requireClient, shared } from './answers.js'
import type { Draft } from './changes/draft.js'
import { parseFileKey } from './changes/manifest.js'
import { draftChanges, keyOf } from './changes/plan.js'
import type { Staged } from './changes/stage.js'
import { nextSteps } from './next-steps.js'
import { version } from './own-package.js'
import { type Mode, type Outcome, perform, writesIn } from './perform.js'
import { stageWithPlop } from './plop.js'
import { recordedRuns, requireManifest } from './recorded.js'
import { notesOf } from './run.js'
import { openSession, type Place } from './session.js'
import { EJECTED, ejectedTemplates, stagedTemplate, templatesOf } from './templates.js'

export interface UpgradeRequest extends Place, Mode {}

/**
 * Brings everything that was generated here up to this version: merges what the templates have gained into what the host
 * has, and emits the migrations that are new.
 */
export async function upgrade(request: UpgradeRequest): Promise<Outcome> {
  const session = await openSession(request, { writes: writesIn(request) })
  const { host } = session
  const manifest = requireManifest(session.manifest)
  const answers = shared(host, manifest)
  requireClient(host, answers.client)
  const runs = recordedRuns(manifest, answers)

  const { plan, status } = await perform(
    session,
    { ...manifest, asyncGen: version },
    request,
    async (draft, planning) => {
      // The host's templates first: what they are merged to is what renders.
      await draftChanges(draft, ejectedTemplates(manifest).map(stagedTemplate), planning)
      const staged = await stageWithPlop(runs, host, templatesOf(draft))
      await draftChanges(draft, staged, planning)
      draftOrphans(draft, staged)
      return notesOf(staged)
    },
  )
  const [first] = runs
  return { plan, status, nextSteps: nextSteps(host, manifest, plan, first ? `Look through the changes: git diff` : '') }
}

/** What an earlier version emitted and this one does not. It may be in use: it is named, and stays. */
function draftOrphans(draft: Draft, staged: Staged[]) {
  const emitted = new Set(staged.map((item) => keyOf(draft.host, item)))
  for (const [key, { owner }] of Object.entries(draft.manifest.files)) {
    if (owner === EJECTED || emitted.has(key)) continue
    const { path, section } = parseFileKey(key)
    if (draft.read(path) === null) draft.forget(key)
    else
      draft.changes.push({
        kind: 'orphan',
        path,
        ...(section && { detail: `${section}: nothing emits it any more` }),
      })
  }
}
