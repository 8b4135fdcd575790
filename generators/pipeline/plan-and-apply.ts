import { dirname } from 'node:path/posix'
import { isDeepStrictEqual } from 'node:util'
import { changedMeanwhile, commit } from '../changes/commit.js'
import type { Decision } from '../changes/decide.js'
import { type Change, Draft } from '../changes/draft.js'
import { isBasePath, MANIFEST, type Manifest } from '../changes/manifest.js'
import { finishPlan, type Plan, type PlanOptions } from '../changes/plan.js'
import { validate } from '../changes/validate.js'
import { formatterNotes } from '../host/formatter.js'
import { ignoredByGit } from '../host/git.js'
import { version } from '../host/own-package.js'
import type { HostSession } from './session.js'

/** What a command may do with its plan. */
export interface PlanMode {
  /** Write nothing. */
  dryRun?: boolean | undefined
  /** Write nothing, and return `differs` if the plan would write something. */
  check?: boolean | undefined
  /** The decision about every conflict. */
  onConflict?: Decision | undefined
  /** Write deleted migration files again. */
  restoreMigrations?: boolean | undefined
  /** Asks the user about one conflict; `more` if others follow. Absent if nobody can answer, as in CI. */
  resolveConflict?: ((change: Change, more: boolean) => Promise<Decision>) | undefined
  /** Asks the user to apply a plan that changes existing files. Absent if nobody can answer, as in CI. */
  confirm?: ((plan: Plan) => Promise<boolean>) | undefined
}

export interface PlanOutcome {
  plan: Plan
  /** `blocked`: nothing was written because of a conflict. `differs`: with `check`, the plan would write something. */
  status: 'applied' | 'nothing to do' | 'dry run' | 'differs' | 'blocked' | 'declined'
  nextSteps: string[]
}

export function writesIn({ dryRun, check }: PlanMode): boolean {
  return !dryRun && !check
}

/**
 * Makes a plan, asks about conflicts, validates the complete result, and applies it if the mode allows.
 *
 * @param fill adds the changes to the draft, and returns notes for the user
 */
export async function planAndApply(
  session: HostSession,
  manifest: Manifest,
  mode: PlanMode,
  fill: (draft: Draft, planning: PlanOptions) => Promise<string[]>,
): Promise<Omit<PlanOutcome, 'nextSteps'>> {
  const { host, format } = session
  const decided = new Map<string, Decision>()
  const planning: PlanOptions = {
    now: new Date(),
    format,
    label: `async-gen ${version}`,
    decisions: (path) => mode.onConflict ?? decided.get(path),
    restoreMigrations: mode.restoreMigrations ?? false,
  }
  const make = async () => {
    const draft = new Draft(host, manifest)
    const notes = await fill(draft, planning)
    return finishPlan(draft, [...session.notes, ...notes], planning)
  }

  let plan = await make()
  if (mode.resolveConflict) {
    const conflicts = conflictsOf(plan)
    for (const [i, change] of conflicts.entries()) {
      decided.set(change.path, await mode.resolveConflict(change, i + 1 < conflicts.length))
    }
    if (decided.size > 0) plan = await make()
  }
  requireSameManifest(session, plan)
  const notes = [...gitIgnoreNotes(host.root, plan), ...formatterNotes(host.formatter, format)]
  plan = { ...plan, notes: [...plan.notes, ...notes] }
  const status = statusOf(plan, mode)
  if (status !== 'blocked') validate(host, plan.writes)
  if (status === 'applied') {
    if (mode.confirm && changesCode(plan, manifest) && !(await mode.confirm(plan))) return { plan, status: 'declined' }
    commit(host.root, plan.writes)
  }
  return { plan, status }
}

/** Throws if another run has changed the manifest since this one read it. This plan would lose those changes. */
function requireSameManifest({ manifest }: HostSession, { writes }: Plan) {
  const write = writes.find(({ path }) => path === MANIFEST)
  if (!write || isDeepStrictEqual(write.before === null ? null : JSON.parse(write.before), manifest)) return
  throw changedMeanwhile(`Another async-gen has changed ${MANIFEST} since this one read it`)
}

/** Notes about created files that git ignores: the rest of the team does not get them. */
function gitIgnoreNotes(root: string, { writes }: Plan): string[] {
  const created = writes.filter(({ before, after }) => before === null && after !== null).map(({ path }) => path)
  const paths = ignoredByGit(root, created).filter((path) => !isBasePath(path))
  const migrations = paths.filter((path) => path.endsWith('/migration.sql'))
  const others = paths.filter((path) => !migrations.includes(path))
  const [first] = migrations
  return [
    ...(first
      ? [
          `git ignores ${migrations.join(', ')}: this migration does not reach your team or production. If a script copies migrations to ${dirname(dirname(first))} from another folder, name that folder (--migrations <folder>); otherwise change .gitignore`,
        ]
      : []),
    ...(others.length > 0 ? [`git ignores ${others.join(', ')}: change .gitignore, so that you can commit them`] : []),
  ]
}

function conflictsOf({ changes }: Plan): Change[] {
  return changes.filter(({ kind }) => kind === 'conflict')
}

/** Whether the plan changes or deletes an emitted file. */
function changesCode({ writes }: Plan, { files }: Manifest): boolean {
  return writes.some(({ path, before }) => before !== null && path in files)
}

function statusOf(plan: Plan, { dryRun, check }: PlanMode): PlanOutcome['status'] {
  if (conflictsOf(plan).length > 0) return 'blocked'
  if (plan.writes.length === 0) return 'nothing to do'
  return check ? 'differs' : dryRun ? 'dry run' : 'applied'
}
