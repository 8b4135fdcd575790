import { join } from 'node:path/posix'
import { ConflictError } from '../host/errors.js'
import type { Host } from '../host/inspect.js'
import { addToPackageJson, type PackageAdditions } from '../host/package-json.js'
import { readSection, writeSection } from '../host/schema-block.js'
import { decide, isWritten } from './decide.js'
import { type Change, Draft, type Write } from './draft.js'
import { MANIFEST, type Manifest } from './manifest.js'
import { planMigration } from './migrations.js'
import { requireFreeNames } from './names.js'
import type { Staged, StagedFile, StagedFragment } from './stage.js'

/** All that a run would do: the one thing that is shown, checked and applied. */
export interface Plan {
  changes: Change[]
  writes: Write[]
  notes: string[]
}

/** Compares what was staged with what is there. Reads the host, and writes nothing. */
export function plan(host: Host, manifest: Manifest, staged: Staged[], now: Date): Plan {
  const draft = new Draft(host, manifest)
  for (const item of staged) {
    if (item.kind === 'file') planFile(draft, item)
    if (item.kind === 'fragment') planFragment(draft, item)
    if (item.kind === 'migration') planMigration(draft, item, now)
    if (item.kind === 'package') planPackage(draft, item)
  }
  const writes = draft.writes()
  const notes = staged.flatMap((item) => (item.kind === 'note' ? [item.text] : []))
  return { changes: [...draft.changes, ...recordOf(writes)], writes, notes: [...new Set(notes)] }
}

/** One line for what async-gen keeps for itself. */
function recordOf(writes: Write[]): Change[] {
  return writes
    .filter(({ path }) => path === MANIFEST)
    .map(({ path, before }) => ({ kind: before === null ? 'create' : 'update', path, detail: 'commit .async-gen too' }))
}

function planFile(draft: Draft, { path, owner, text, shared }: StagedFile) {
  const emitted = draft.manifest.files[path]
  if (emitted && emitted.owner !== owner && !shared) {
    throw new ConflictError({
      code: 'FILE_TAKEN',
      message: `${path} belongs to \`async-gen ${emitted.owner}\`; \`async-gen ${owner}\` would write it too.`,
      remedy: 'Choose another name.',
    })
  }
  const kind = decide({ current: draft.read(path), emitted: emitted?.hash, next: text, shared })
  if (isWritten(kind)) draft.write(path, text)
  if (isWritten(kind) || kind === 'identical') draft.remember(path, emitted?.owner ?? owner, text)
  draft.changes.push({ kind, path })
}

function planFragment(draft: Draft, fragment: StagedFragment) {
  const { schema } = draft.host
  requireFreeNames(draft, fragment)
  if (schema.kind === 'folder') {
    planFile(draft, { ...fragment, kind: 'file', path: join(schema.path, `${fragment.name}.prisma`), shared: false })
    return
  }
  const { name, owner, text } = fragment
  const key = `${schema.path}#${name}`
  const current = draft.read(schema.path)!
  const kind = decide({
    current: readSection(current, name),
    emitted: draft.manifest.files[key]?.hash,
    next: text.trim(),
  })
  if (isWritten(kind)) draft.write(schema.path, writeSection(current, name, text))
  if (isWritten(kind) || kind === 'identical') draft.remember(key, owner, text.trim())
  draft.changes.push({ kind: kind === 'create' ? 'update' : kind, path: schema.path, detail: name })
}

function planPackage(draft: Draft, additions: PackageAdditions) {
  const text = addToPackageJson(draft.host.packageJson, additions)
  const kind = text === draft.host.packageJson.text ? 'identical' : 'update'
  if (kind === 'update') draft.write('package.json', text)
  draft.changes.push({ kind, path: 'package.json' })
}
