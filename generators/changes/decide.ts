import { sameText } from '../host/files.js'
import type { Format } from '../host/formatter.js'
import { hashOf } from './manifest.js'
import { type Merged, merge, mergeWithoutBase } from './merge.js'

/** What happens to one text: an emitted file, or a section of the schema. */
export type MergeOutcome =
  | { kind: 'create' | 'update'; text: string }
  | { kind: 'identical' }
  /** The user's text, with the changes of async-gen merged in. */
  | { kind: 'merge'; text: string }
  /** The user's text stays. `remembered`: the new text becomes the base, so that the next run does not ask again. */
  | { kind: 'keep'; remembered: boolean }
  /** The user deleted the file, and it stays deleted. */
  | { kind: 'removed' }
  | { kind: 'conflict'; conflict: Conflict }

/** Two texts that cannot be merged: both sides changed the same lines, or there is no base to compare them with. */
export interface Conflict {
  mine: string
  theirs: string
  /** The text before both changes; null if async-gen did not write the file. */
  base: string | null
  merged: Merged
}

/** `merge` writes both texts between conflict markers. */
export type Decision = 'mine' | 'theirs' | 'merge'

interface ComparedText {
  /** For the formatter, which chooses the language by the name. */
  path: string
  /** The host's text; null if the file does not exist. */
  current: string | null
  /** The text of the last run, null if there was none; `text` is null if the copy in .async-gen/base is lost. */
  emitted: { hash: string; text: string | null } | null
  /** The text of this run, formatted by the host's formatter. */
  next: string
  /** Several generators emit it; an existing file is never replaced. */
  shared: boolean
  /** The name of our side in conflict markers: `async-gen 0.2.0`. */
  label: string
  format: Format
}

/** Compares three texts: the host's, the one emitted by the last run, and the one of this run. */
export async function decide(compared: ComparedText): Promise<MergeOutcome> {
  const { path, current, emitted, next, shared, label, format } = compared
  if (current === null) return emitted ? { kind: 'removed' } : { kind: 'create', text: next }
  if (sameText(current, next)) return { kind: 'identical' }
  if (!emitted) {
    if (shared) return { kind: 'keep', remembered: false }
    return { kind: 'conflict', conflict: withoutBase(current, next, label) }
  }
  if (emitted.hash === hashOf(current)) return { kind: 'update', text: next }
  if (emitted.hash === hashOf(next)) return { kind: 'keep', remembered: false }
  if (emitted.text === null) return { kind: 'conflict', conflict: withoutBase(current, next, label) }

  // Formatted by the host's formatter, so that a different style does not count as an edit.
  const [mine, base] = await Promise.all([format(path, current), format(path, emitted.text)])
  if (sameText(mine, base)) return { kind: 'update', text: next }
  if (sameText(base, next)) return { kind: 'keep', remembered: false }
  const merged = merge(mine, base, next, label)
  if (merged.conflicts > 0) return { kind: 'conflict', conflict: { mine, base, theirs: next, merged } }
  return sameText(merged.text, current) ? { kind: 'keep', remembered: true } : { kind: 'merge', text: merged.text }
}

/** The outcome of a conflict after the user's decision. */
export function applyDecision({ theirs, merged }: Conflict, decision: Decision): MergeOutcome {
  if (decision === 'mine') return { kind: 'keep', remembered: true }
  return decision === 'theirs' ? { kind: 'update', text: theirs } : { kind: 'merge', text: merged.text }
}

function withoutBase(mine: string, theirs: string, label: string): Conflict {
  return { mine, theirs, base: null, merged: mergeWithoutBase(mine, theirs, label) }
}
