import { sameText } from '../host/files.js'
import type { Format } from '../host/formatter.js'
import { hashOf } from './manifest.js'
import { type Merged, merge, mergeWithoutBase } from './merge.js'

/** What becomes of one piece of text: a file, or a section of the schema. */
export type Verdict =
  | { kind: 'create' | 'update'; text: string }
  | { kind: 'identical' }
  /** The user's text with what async-gen has changed since. */
  | { kind: 'merge'; text: string }
  /** The user's text stays. `settled`: so it will the next time, without a word. */
  | { kind: 'keep'; settled: boolean }
  /** The user deleted it, and it stays deleted. */
  | { kind: 'removed' }
  | { kind: 'conflict'; conflict: Conflict }

/** Two texts that cannot both be had: the same lines were changed on both sides, or nobody knows what they come from. */
export interface Conflict {
  mine: string
  theirs: string
  /** The text before both, or null where async-gen did not write the file. */
  base: string | null
  merged: Merged
}

/** `merge` leaves both in the file, between markers. */
export type Decision = 'mine' | 'theirs' | 'merge'

interface Piece {
  /** For the formatter, which goes by the name. */
  path: string
  /** What the host has, or null. */
  current: string | null
  /** What was emitted the last time, if anything was; its text is null where it has been lost. */
  emitted: { hash: string; text: string | null } | null
  /** What is to be emitted now, as the host's formatter has it. */
  next: string
  /** Several generators emit it, and whatever is there serves. */
  shared: boolean
  /** Whose the other side of a conflict is: `async-gen 0.2.0`. */
  label: string
  format: Format
}

/** Compares three texts: what the host has, what it was given, and what it would be given now. */
export async function decide(piece: Piece): Promise<Verdict> {
  const { path, current, emitted, next, shared, label, format } = piece
  if (current === null) return emitted ? { kind: 'removed' } : { kind: 'create', text: next }
  if (sameText(current, next)) return { kind: 'identical' }
  if (!emitted) {
    if (shared) return { kind: 'keep', settled: false }
    return { kind: 'conflict', conflict: withoutBase(current, next, label) }
  }
  if (emitted.hash === hashOf(current)) return { kind: 'update', text: next }
  if (emitted.hash === hashOf(next)) return { kind: 'keep', settled: false }
  if (emitted.text === null) return { kind: 'conflict', conflict: withoutBase(current, next, label) }

  // All sides as the host's formatter has them now, so that another style is no difference.
  const [mine, base] = await Promise.all([format(path, current), format(path, emitted.text)])
  if (sameText(mine, base)) return { kind: 'update', text: next }
  if (sameText(base, next)) return { kind: 'keep', settled: false }
  const merged = merge(mine, base, next, label)
  if (merged.conflicts > 0) return { kind: 'conflict', conflict: { mine, base, theirs: next, merged } }
  return sameText(merged.text, current) ? { kind: 'keep', settled: true } : { kind: 'merge', text: merged.text }
}

/** What a decision makes of a conflict. */
export function settle({ theirs, merged }: Conflict, decision: Decision): Verdict {
  if (decision === 'mine') return { kind: 'keep', settled: true }
  return decision === 'theirs' ? { kind: 'update', text: theirs } : { kind: 'merge', text: merged.text }
}

function withoutBase(mine: string, theirs: string, label: string): Conflict {
  return { mine, theirs, base: null, merged: mergeWithoutBase(mine, theirs, label) }
}
