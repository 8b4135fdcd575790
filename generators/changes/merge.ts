import { diff3Merge, diffComm } from 'node-diff3'
import { withEol } from '../host/files.js'

export interface Merged {
  /** With LF line endings. Conflicts contain both sides, between markers. */
  text: string
  /** How many conflicts the text contains. */
  conflicts: number
}

/** Merges three ways: the user's changes since the base, and ours. The same change on both sides is not a conflict. */
export function merge(mine: string, base: string, theirs: string, label: string): Merged {
  const regions = diff3Merge(lines(mine), lines(base), lines(theirs), { excludeFalseConflicts: true }) as Region[]
  return assemble(
    regions.map(({ ok, conflict }) => ok ?? { mine: conflict!.a, theirs: conflict!.b }),
    label,
  )
}

/** Merges without a base: every difference is a conflict. */
export function mergeWithoutBase(mine: string, theirs: string, label: string): Merged {
  const regions = diffComm(lines(mine), lines(theirs)) as CommonOrChanged[]
  return assemble(
    regions.map((region) => region.common ?? { mine: region.buffer1!, theirs: region.buffer2! }),
    label,
  )
}

/** Whether a text contains conflict markers. */
export function hasMarkers(text: string): boolean {
  return /^<{7} /m.test(text) && /^>{7} /m.test(text)
}

interface Region {
  ok?: string[]
  conflict?: { a: string[]; o: string[]; b: string[] }
}

interface CommonOrChanged {
  common?: string[]
  buffer1?: string[]
  buffer2?: string[]
}

type Part = string[] | { mine: string[]; theirs: string[] }

function assemble(parts: Part[], label: string): Merged {
  const marked = parts.map((part) =>
    Array.isArray(part) ? part : ['<<<<<<< yours', ...part.mine, '=======', ...part.theirs, `>>>>>>> ${label}`],
  )
  return { text: marked.flat().join('\n'), conflicts: parts.filter((part) => !Array.isArray(part)).length }
}

function lines(text: string): string[] {
  return withEol(text, '\n').split('\n')
}
