import { join } from 'node:path/posix'
import { ConflictError } from '../host/errors.js'
import type { Format } from '../host/formatter.js'
import type { Host } from '../host/inspect.js'
import { addToPackageJson, type PackageAdditions } from '../host/package-json.js'
import { readSection, writeSection } from '../host/schema-block.js'
import { type Conflict, type Decision, decide, settle, type Verdict } from './decide.js'
import type { Change, Draft, Write } from './draft.js'
import { MANIFEST, sectionKey } from './manifest.js'
import { planMigration } from './migrations.js'
import { requireFreeNames } from './names.js'
import type { Staged, StagedFile, StagedFragment } from './stage.js'

/** All that a run would do: the one thing that is shown, checked and applied. */
export interface Plan {
  changes: Change[]
  writes: Write[]
  notes: string[]
}

/** How a plan is made. */
export interface Planning {
  now: Date
  format: Format
  /** What to do about the conflict at a path; undefined leaves it standing. */
  decisions: (path: string) => Decision | undefined
  /** Whose the other side of a conflict is: `async-gen 0.2.0`. */
  label: string
  /** Whether migrations that were deleted are written again. */
  restoreMigrations?: boolean
}

/** Compares what was staged with what is there, and drafts what follows. Reads the host, and writes nothing. */
export async function draftChanges(draft: Draft, staged: Staged[], planning: Planning) {
  for (const item of staged) {
    // Of what several generators emit, one decides.
    if (item.kind === 'file' && item.shared && draft.changes.some(({ path }) => path === item.path)) continue
    if (item.kind === 'file') await planFile(draft, item, planning)
    if (item.kind === 'fragment') await planFragment(draft, item, planning)
    if (item.kind === 'migration') planMigration(draft, item, planning.now, planning.restoreMigrations)
    if (item.kind === 'package') planPackage(draft, item)
  }
}

/** Under what a staged text is known to the manifest; null for what is not. */
export function keyOf({ schema }: Host, item: Staged): string | null {
  if (item.kind === 'file') return item.path
  if (item.kind !== 'fragment') return null
  return schema.kind === 'folder' ? join(schema.path, `${item.name}.prisma`) : sectionKey(schema.path, item.name)
}

/** The plan that a draft has come to. */
export async function planOf(draft: Draft, notes: string[], { format }: Planning): Promise<Plan> {
  const writes = await Promise.all(
    draft.writes().map(async (write) => {
      // The host's linter reads it too.
      if (write.path !== MANIFEST || write.after === null) return write
      return { ...write, after: await format(MANIFEST, write.after) }
    }),
  )
  return { changes: [...draft.changes, ...recordOf(writes)], writes, notes: [...new Set(notes)] }
}

/** One line for what async-gen keeps for itself. */
function recordOf(writes: Write[]): Change[] {
  return writes.flatMap(({ path, before, after }): Change[] => {
    if (path !== MANIFEST) return []
    if (after === null) return [{ kind: 'delete', path }]
    return [{ kind: before === null ? 'create' : 'update', path, detail: 'commit .async-gen too' }]
  })
}

async function planFile(draft: Draft, file: StagedFile, planning: Planning) {
  const { path, owner, text, shared } = file
  const emitted = draft.emitted(path)
  if (emitted && emitted.owner !== owner && !shared) {
    throw new ConflictError({
      code: 'FILE_TAKEN',
      message: `${path} belongs to \`async-gen ${emitted.owner}\`; \`async-gen ${owner}\` would write it too.`,
      remedy: 'Choose another name.',
    })
  }
  const next = file.verbatim ? text : await planning.format(path, text)
  const verdict = await decide({
    path,
    current: draft.read(path),
    emitted,
    next,
    shared,
    ...formatting(file, planning),
  })
  const settled = settledBy(verdict, path, planning)
  if ('text' in settled) draft.write(path, settled.text)
  if (isRemembered(settled)) draft.remember(path, emitted?.owner ?? owner, next)
  draft.changes.push(changeOf(verdict, settled, path))
}

async function planFragment(draft: Draft, fragment: StagedFragment, planning: Planning) {
  const { schema } = draft.host
  requireFreeNames(draft, fragment)
  if (schema.kind === 'folder') {
    const path = keyOf(draft.host, fragment)!
    return planFile(draft, { ...fragment, kind: 'file', path, shared: false, verbatim: true }, planning)
  }
  const { name, owner } = fragment
  const key = keyOf(draft.host, fragment)!
  const current = draft.read(schema.path)!
  const next = fragment.text.trim()
  const verdict = await decide({
    path: schema.path,
    current: readSection(current, name),
    emitted: draft.emitted(key),
    next,
    shared: false,
    ...formatting({ verbatim: true }, planning),
  })
  const settled = settledBy(verdict, schema.path, planning)
  if ('text' in settled) draft.write(schema.path, writeSection(current, name, settled.text))
  if (isRemembered(settled)) draft.remember(key, owner, next)
  const change = changeOf(verdict, settled, schema.path)
  draft.changes.push({ ...change, kind: change.kind === 'create' ? 'update' : change.kind, detail: name })
}

function planPackage(draft: Draft, additions: PackageAdditions) {
  const current = draft.read('package.json')!
  const { text, record } = addToPackageJson(current, additions, draft.manifest.package)
  draft.manifest.package = record
  if (text !== current) draft.write('package.json', text)
  draft.changes.push({ kind: text === current ? 'identical' : 'update', path: 'package.json' })
}

/** A schema is never formatted: its formatter may change what it means. */
function formatting(
  { verbatim }: { verbatim?: boolean },
  { format, label }: Planning,
): { format: Format; label: string } {
  return { label, format: verbatim ? async (_path, text) => text : format }
}

function settledBy(verdict: Verdict, path: string, { decisions }: Planning): Verdict {
  if (verdict.kind !== 'conflict') return verdict
  const decision = decisions(path)
  // A schema with markers does not parse, so that nothing could be written at all.
  if (!decision || (decision === 'merge' && path.endsWith('.prisma'))) return verdict
  return settle(verdict.conflict, decision)
}

/** What is remembered is what the next merge starts from. */
function isRemembered(verdict: Verdict): boolean {
  return verdict.kind === 'keep' ? verdict.settled : verdict.kind !== 'removed' && verdict.kind !== 'conflict'
}

function changeOf(verdict: Verdict, settled: Verdict, path: string): Change {
  const { kind } = settled
  if (settled.kind === 'conflict')
    return { kind, path, ...conflictDetail(settled.conflict), conflict: settled.conflict }
  if (verdict.kind !== 'conflict') return { kind, path }
  const { conflicts } = verdict.conflict.merged
  const chosen = { keep: 'yours', update: "async-gen's", merge: `with markers in ${places(conflicts)}` }
  return { kind, path, detail: `${chosen[kind as keyof typeof chosen]}, as you chose` }
}

function conflictDetail({ base, merged }: Conflict): { detail?: string } {
  return base === null ? {} : { detail: `${places(merged.conflicts)} changed by you and by async-gen` }
}

function places(count: number): string {
  return count === 1 ? '1 place' : `${count} places`
}
