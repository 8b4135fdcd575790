import type { Change } from './draft.js'
import type { Plan } from './plan.js'

type Paint = (text: string) => string

/** The colours of a terminal; `plain` for no colours. */
export interface Colors {
  green: Paint
  yellow: Paint
  cyan: Paint
  red: Paint
  dim: Paint
}

const same: Paint = (text) => text
export const plain: Colors = { green: same, yellow: same, cyan: same, red: same, dim: same }

const PAINT: Record<Change['kind'], keyof Colors> = {
  create: 'green',
  update: 'yellow',
  identical: 'dim',
  merge: 'yellow',
  orphan: 'cyan',
  delete: 'red',
  keep: 'cyan',
  removed: 'dim',
  conflict: 'red',
}

const DETAIL: Partial<Record<Change['kind'], string>> = {
  keep: 'your version stays',
  removed: 'you deleted it, and async-gen does not write it again',
  merge: 'with your edits',
  orphan: 'this version of async-gen does not emit it; delete it if you do not use it',
  conflict: 'the file exists, and async-gen did not write it',
}

/** The plan as Rails generators print it: one line for each change, the kind first. */
export function presentPlan(plan: Plan, colors: Colors = plain): string[] {
  const width = 12
  const line = (kind: string, paint: Paint, text: string) => `${paint(kind.padStart(width))}  ${text}`
  return [
    ...plan.changes.map(({ kind, path, detail = DETAIL[kind] }) =>
      line(kind, colors[PAINT[kind]], detail ? `${path}  ${colors.dim(`(${detail})`)}` : path),
    ),
    ...plan.notes.map((note) => line('note', colors.cyan, note)),
  ]
}

/** The plan for programs. Paths are relative to the host. */
export function planJson({ changes, notes }: Plan) {
  return { changes: changes.map(({ kind, path, detail }) => ({ kind, path, ...(detail && { detail }) })), notes }
}
