import { join } from 'node:path/posix'
import { ConflictError } from '../host/errors.js'
import type { Format } from '../host/formatter.js'
import type { Host } from '../host/inspect.js'
import { addToPackageJson, type PackageAdditions } from '../host/package-json.js'
import { contractModels } from '../host/prisma-8/contract-models.js'
import { readSection, writeSection } from '../host/schema-block.js'
import { planContractMigration } from './contract-migration.js'
import { applyDecision, type Conflict, type Decision, decide, type MergeOutcome } from './decide.js'
import type { Change, Draft, Write } from './draft.js'
import { MANIFEST, sectionKey } from './manifest.js'
import { planMigration } from './migrations.js'
import { requireFreeNames } from './names.js'
import type { Staged, StagedFile, StagedFragment } from './stage.js'

/** Everything that a run changes. The same plan is shown, validated and applied. */
export interface Plan {
  changes: Change[]
  writes: Write[]
  notes: string[]
}

export interface PlanOptions {
  now: Date
  format: Format
  /** The decision about the conflict at a path; undefined if there is none, and the conflict stays. */
  decisions: (path: string) => Decision | undefined
  /** The name of our side in conflict markers: `async-gen 0.2.0`. */
  label: string
  /** Whether deleted migrations are written again. */
  restoreMigrations?: boolean
}

/** Compares the staged texts with the host's, and adds the changes to the draft. Nothing is on the disk yet. */
export async function draftChanges(draft: Draft, staged: Staged[], planning: PlanOptions) {
  const { emitContract } = draft.host
  for (const item of staged) {
    // Several generators emit this file. The first one has planned it.
    if (item.kind === 'file' && item.shared && draft.changes.some(({ path }) => path === item.path)) continue
    if (item.kind === 'file') await planFile(draft, item, planning)
    if (item.kind === 'fragment') await planFragment(draft, item, planning)
    if (item.kind === 'migration' && !emitContract) planMigration(draft, item, planning.now, planning.restoreMigrations)
    if (item.kind === 'package') planPackage(draft, item)
  }
  if (!emitContract) return
  const migrations = staged.filter((item) => item.kind === 'migration')
  await planContractMigration(draft, migrations, planning.now, emitContract)
}

/** The key of a staged text in the manifest; null if the manifest does not list it under `files`. */
export function manifestKey({ schema }: Host, item: Staged): string | null {
  if (item.kind === 'file') return item.path
  if (item.kind !== 'fragment') return null
  return schema.kind === 'folder' ? join(schema.path, `${item.name}.prisma`) : sectionKey(schema.path, item.name)
}

/** The plan of a complete draft. */
export async function finishPlan(draft: Draft, notes: string[], { format }: PlanOptions): Promise<Plan> {
  const writes = await Promise.all(
    draft.writes().map(async (write) => {
      // The host's linter checks the manifest too.
      if (write.path !== MANIFEST || write.after === null) return write
      return { ...write, after: await format(MANIFEST, write.after) }
    }),
  )
  return { changes: [...draft.changes, ...manifestChanges(writes)], writes, notes: [...new Set(notes)] }
}

/** One line for the whole folder .async-gen. */
function manifestChanges(writes: Write[]): Change[] {
  return writes.flatMap(({ path, before, after }): Change[] => {
    if (path !== MANIFEST) return []
    if (after === null) return [{ kind: 'delete', path }]
    return [{ kind: before === null ? 'create' : 'update', path, detail: 'commit .async-gen too' }]
  })
}

async function planFile(draft: Draft, file: StagedFile, planning: PlanOptions) {
  const { path, owner, text, shared } = file
  const emitted = draft.emitted(path)
  if (emitted && emitted.owner !== owner && !shared) {
    throw new ConflictError({
      code: 'FILE_TAKEN',
      message: `${path} belongs to \`async-gen ${emitted.owner}\`. \`async-gen ${owner}\` would write the same file.`,
      remedy: 'Choose another name.',
    })
  }
  const next = file.verbatim ? text : await planning.format(path, text)
  const outcome = await decide({
    path,
    current: draft.read(path),
    emitted,
    next,
    shared,
    ...formatting(file, planning),
  })
  const resolved = withDecision(outcome, path, planning)
  if ('text' in resolved) draft.write(path, resolved.text)
  if (isRemembered(resolved)) draft.remember(path, emitted?.owner ?? owner, next)
  draft.changes.push(changeOf(outcome, resolved, path))
}

async function planFragment(draft: Draft, fragment: StagedFragment, planning: PlanOptions) {
  const { schema } = draft.host
  requireFreeNames(draft, fragment)
  if (schema.kind === 'folder') {
    const path = manifestKey(draft.host, fragment)!
    return planFile(draft, { ...fragment, kind: 'file', path, shared: false, verbatim: true }, planning)
  }
  const { name, owner } = fragment
  const key = manifestKey(draft.host, fragment)!
  const current = draft.read(schema.path)!
  const next = (schema.major === 8 ? contractModels(fragment.text) : fragment.text).trim()
  const outcome = await decide({
    path: schema.path,
    current: readSection(current, name),
    emitted: draft.emitted(key),
    next,
    shared: false,
    ...formatting({ verbatim: true }, planning),
  })
  const resolved = withDecision(outcome, schema.path, planning)
  if ('text' in resolved) draft.write(schema.path, writeSection(current, name, resolved.text))
  if (isRemembered(resolved)) draft.remember(key, owner, next)
  const change = changeOf(outcome, resolved, schema.path)
  draft.changes.push({ ...change, kind: change.kind === 'create' ? 'update' : change.kind, detail: name })
}

function planPackage(draft: Draft, additions: PackageAdditions) {
  const current = draft.read('package.json')!
  const { text, record } = addToPackageJson(current, additions, draft.manifest.package)
  draft.manifest.package = record
  if (text !== current) draft.write('package.json', text)
  draft.changes.push({ kind: text === current ? 'identical' : 'update', path: 'package.json' })
}

/** A schema is never formatted: `prisma format` may change its meaning. */
function formatting(
  { verbatim }: { verbatim?: boolean },
  { format, label }: PlanOptions,
): { format: Format; label: string } {
  return { label, format: verbatim ? async (_path, text) => text : format }
}

function withDecision(outcome: MergeOutcome, path: string, { decisions }: PlanOptions): MergeOutcome {
  if (outcome.kind !== 'conflict') return outcome
  const decision = decisions(path)
  // A schema with conflict markers does not parse, and validation would refuse the whole plan.
  if (!decision || (decision === 'merge' && path.endsWith('.prisma'))) return outcome
  return applyDecision(outcome.conflict, decision)
}

/** Whether the new text becomes the base of the next merge. */
function isRemembered(outcome: MergeOutcome): boolean {
  return outcome.kind === 'keep' ? outcome.remembered : outcome.kind !== 'removed' && outcome.kind !== 'conflict'
}

/** @param resolved the outcome after the user's decision */
function changeOf(outcome: MergeOutcome, resolved: MergeOutcome, path: string): Change {
  const { kind } = resolved
  if (resolved.kind === 'conflict')
    return { kind, path, ...conflictDetail(resolved.conflict), conflict: resolved.conflict }
  if (outcome.kind !== 'conflict') return { kind, path }
  const { conflicts } = outcome.conflict.merged
  const chosen = { keep: 'yours', update: "async-gen's", merge: `with conflict markers in ${places(conflicts)}` }
  return { kind, path, detail: `${chosen[kind as keyof typeof chosen]}, as you chose` }
}

function conflictDetail({ base, merged }: Conflict): { detail?: string } {
  return base === null ? {} : { detail: `you and async-gen changed the same lines in ${places(merged.conflicts)}` }
}

function places(count: number): string {
  return count === 1 ? '1 place' : `${count} places`
}
