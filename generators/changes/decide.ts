import { sameText } from '../host/files.js'
import { hashOf } from './manifest.js'

/** What becomes of one piece of text: a file, or a section of the schema. */
export type Verdict =
  | 'create'
  | 'identical'
  | 'update'
  /** The user's text stays. */
  | 'keep'
  /** The user deleted it, and it stays deleted. */
  | 'removed'
  /** It is there, and async-gen did not put it there. */
  | 'conflict'

interface Piece {
  /** What the host has, or null. */
  current: string | null
  /** The hash of what was emitted the last time, if it ever was. */
  emitted: string | undefined
  next: string
  /** Several generators emit it, and whatever is there serves. */
  shared?: boolean
}

export function decide({ current, emitted, next, shared = false }: Piece): Verdict {
  if (current === null) return emitted ? 'removed' : 'create'
  if (sameText(current, next)) return 'identical'
  if (emitted === hashOf(current)) return shared ? 'keep' : 'update'
  if (emitted || shared) return 'keep'
  return 'conflict'
}

export function isWritten(verdict: Verdict): boolean {
  return verdict === 'create' || verdict === 'update'
}
