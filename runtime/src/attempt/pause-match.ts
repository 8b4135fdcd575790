import type { Database } from '../core/database.js'
import { nearest } from '../core/nearest.js'
import { printable } from '../core/printable.js'
import { ALL, type PausePath, type PauseRow } from './pause-store.js'
import type { TargetList } from './targets.js'

/** Fields that each model of attempts has. Only one without them is no model of attempts for certain. */
const FIELDS = ['target', 'method', 'args', 'scheduledAt']

const loaders = new WeakMap<Database, Map<string, () => Promise<TargetList>>>()

/** The targets of the models of attempts that this process uses, by the names of the models. */
export function targetLoaders(db: Database): Map<string, () => Promise<TargetList>> {
  let known = loaders.get(db)
  if (!known) {
    known = new Map()
    loaders.set(db, known)
  }
  return known
}

/**
 * Why a pause matches no call, or undefined if it may match one: SQL can insert any names. Rows may still have a name that is not listed
 * any more, so the caller can only warn.
 *
 * @param targets those of the pause's model, if this process has them
 */
export function unmatchedReason(db: Database, pause: PauseRow, targets: TargetList | undefined): string | undefined {
  if (targets) return unlistedReason(targets, pause)
  return isModelOfAttempts(db, pause.model) ? undefined : `there is no model ${shown(pause.model)} of attempts.`
}

/** Why targets.ts lists no such target or method, with the nearest name; undefined if it does. */
export function unlistedReason(targets: TargetList, { target, method }: PausePath): string | undefined {
  const names = targets.names()
  const methods = target === ALL ? [...names.values()].flat() : names.get(target)
  if (!methods) return `targets.ts lists no target ${shown(target)}.${didYouMean(target, [...names.keys()])}`
  if (method === ALL || methods.includes(method)) return undefined
  const of = target === ALL ? '' : ` of the target ${shown(target)}`
  return `targets.ts lists no method ${shown(method)}${of}.${didYouMean(method, methods)}`
}

/** The statement that removes a pause, also one that `resume` cannot name. */
export function deletePause({ model, target, method }: Pick<PauseRow, 'model' | 'target' | 'method'>): string {
  const [ofModel, ofTarget, ofMethod] = [model, target, method].map((name) => `'${shown(name.replaceAll("'", "''"))}'`)
  return `DELETE FROM async_pauses WHERE model = ${ofModel} AND target = ${ofTarget} AND method = ${ofMethod};`
}

function isModelOfAttempts(db: Database, model: string): boolean {
  // A client that does not tell its models proves nothing.
  if (db.fieldsOf('AsyncPause').length === 0) return true
  const fields = db.fieldsOf(model).map(({ name }) => name)
  return FIELDS.every((field) => fields.includes(field))
}

function didYouMean(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? '' : ` Did you mean ${shown(near)}?`
}

function shown(name: string): string {
  return printable(name, 100)
}
