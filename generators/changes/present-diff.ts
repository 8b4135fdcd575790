import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff'
import { withEol } from '../host/files.js'
import type { Change, Write } from './draft.js'
import { isRecordPath } from './manifest.js'
import type { Plan } from './plan.js'
import { type Colors, plain } from './present.js'

/** The changes of a plan, in the format of `git diff`. Without the files in .async-gen. */
export function presentDiff(plan: Plan, colors: Colors = plain): string[] {
  return [
    ...plan.writes.filter(({ path }) => !isRecordPath(path)).flatMap((write) => paint(patchOf(write), colors)),
    ...plan.changes.flatMap((change) => presentConflict(change, colors)),
  ]
}

/** Both sides of a conflict: the user's lines with a minus, ours with a plus. */
export function presentConflict({ path, conflict }: Change, colors: Colors = plain): string[] {
  if (!conflict) return []
  const patch = createTwoFilesPatch(
    `${path} (yours)`,
    `${path} (async-gen)`,
    lf(conflict.mine),
    lf(conflict.theirs),
    '',
    '',
    HEADERS,
  )
  return paint(patch, colors)
}

const HEADERS = { headerOptions: FILE_HEADERS_ONLY }

function patchOf({ path, before, after }: Write): string {
  const [from, to] = [before === null ? '/dev/null' : `a/${path}`, after === null ? '/dev/null' : `b/${path}`]
  return createTwoFilesPatch(from, to, lf(before ?? ''), lf(after ?? ''), '', '', HEADERS)
}

function paint(patch: string, { green, red, cyan }: Colors): string[] {
  return patch
    .trimEnd()
    .split('\n')
    .map((line) => {
      if (line.startsWith('@@')) return cyan(line)
      if (/^\+(?!\+\+ )/.test(line)) return green(line)
      return /^-(?!-- )/.test(line) ? red(line) : line
    })
}

function lf(text: string): string {
  return withEol(text, '\n')
}
