import { dirname } from 'node:path/posix'
import { isDeepStrictEqual } from 'node:util'
import { changedMeanwhile, commit } from './changes/commit.js'
import type { Decision } from './changes/decide.js'
import { type Change, Draft } from './changes/draft.js'
import { isBasePath, MANIFEST, type Manifest } from './changes/manifest.js'
import { type Plan, type Planning, planOf } from './changes/plan.js'
import { validate } from './changes/validate.js'
import { formatterNotes } from './host/formatter.js'
import { ignoredByGit } from './host/git.js'
import { version } from './own-package.js'
import type { Session } from './session.js'

/** What a run may do with its plan. */
export interface Mode {
  /** Shows the plan, and writes nothing. */
  dryRun?: boolean | undefined
  /** The same, and a plan that would write counts as a failure. */
  check?: boolean | undefined
  /** What to do about every conflict. */
  onConflict?: Decision | undefined
  /** Writes migrations again whose files are gone. */
  restoreMigrations?: boolean | undefined
  /** Asks the user about one, which more may follow; absent where nobody is there to answer. */
  resolveConflict?: ((change: Change, more: boolean) => Promise<Decision>) | undefined
  /** Shows the user what becomes of files that are there, and asks; absent where nobody is there to answer. */
  confirm?: ((plan: Plan) => Promise<boolean>) | undefined
}

export interface Outcome {
  plan: Plan
  /** `blocked`: the plan has a conflict, and nothing is written. `differs`: what `--check` looks for. */
  status: 'applied' | 'nothing to do' | 'dry run' | 'differs' | 'blocked' | 'declined'
  nextSteps: string[]
}

export function writesIn({ dryRun, check }: Mode): boolean {
  return !dryRun && !check
}

/** Makes a plan, asks about what is in conflict, checks the whole result, and applies it as far as the mode allows. */
export async function perform(
  session: Session,
  manifest: Manifest,
  mode: Mode,
  fill: (draft: Draft, planning: Planning) => Promise<string[]>,
): Promise<Omit<Outcome, 'nextSteps'>> {
  const { host, format } = session
  const decided = new Map<string, Decision>()
  const planning: Planning = {
    now: new Date(),
    format,
    label: `async-gen ${version}`,
    decisions: (path) => mode.onConflict ?? decided.get(path),
    restoreMigrations: mode.restoreMigrations ?? false,
  }
  const make = async () => {
    const draft = new Draft(host, manifest)
    const notes = await fill(draft, planning)
    return planOf(draft, [...session.notes, ...notes], planning)
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
  const notes = [...ignored(host.root, plan), ...formatterNotes(host.formatter, format)]
  plan = { ...plan, notes: [...plan.notes, ...notes] }
  const status = statusOf(plan, mode)
  if (status !== 'blocked') validate(host, plan.writes)
  if (status === 'applied') {
    if (mode.confirm && changesCode(plan, manifest) && !(await mode.confirm(plan))) return { plan, status: 'declined' }
    commit(host.root, plan.writes)
  }
  return { plan, status }
}

/** Another run may have written it between the first look and the plan, which would leave out what that one added. */
function requireSameManifest({ manifest }: Session, { writes }: Plan) {
  const write = writes.find(({ path }) => path === MANIFEST)
  if (!write || isDeepStrictEqual(write.before === null ? null : JSON.parse(write.before), manifest)) return
  throw changedMeanwhile(`Changed by another async-gen in the meantime: ${MANIFEST}`)
}

/** What is not committed is lost to the others of the team: a migration most of all. */
function ignored(root: string, { writes }: Plan): string[] {
  const created = writes.filter(({ before, after }) => before === null && after !== null).map(({ path }) => path)
  const paths = ignoredByGit(root, created).filter((path) => !isBasePath(path))
  const migrations = paths.filter((path) => path.endsWith('/migration.sql'))
  const others = paths.filter((path) => !migrations.includes(path))
  const [first] = migrations
  return [
    ...(first
      ? [
          `git ignores ${migrations.join(', ')}: this SQL never reaches your team or production. If a script fills ${dirname(dirname(first))} from another folder, write it there (--migrations <folder>); otherwise change .gitignore`,
        ]
      : []),
    ...(others.length > 0 ? [`git ignores ${others.join(', ')}: change .gitignore, so that they are committed`] : []),
  ]
}

function conflictsOf({ changes }: Plan): Change[] {
  return changes.filter(({ kind }) => kind === 'conflict')
}

/** Whether a file that was emitted before is about to change, or to go. */
function changesCode({ writes }: Plan, { files }: Manifest): boolean {
  return writes.some(({ path, before }) => before !== null && path in files)
}

function statusOf(plan: Plan, { dryRun, check }: Mode): Outcome['status'] {
  if (conflictsOf(plan).length > 0) return 'blocked'
  if (plan.writes.length === 0) return 'nothing to do'
  return check ? 'differs' : dryRun ? 'dry run' : 'applied'
}
