import { isDeepStrictEqual } from 'node:util'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError, UnknownTargetError } from '../core/errors.js'
import { isPlainObject } from '../core/plain-object.js'
import type { BoundClass } from './binding.js'
import { ALL, type PauseEnd, type PausePath } from './pause-store.js'
import { isSubclass } from './subclasses.js'
import type { MethodOf, Targets } from './target-types.js'
import type { TargetList } from './targets.js'

/** How long to pause, and why. */
export interface PauseOptions {
  /** When the pause ends by itself: a time, or a length of time from now. Default: when `resume` ends it. */
  until?: Date | Duration | undefined
  /** Shown in the log, in `status`, in `doctor` and by `pauses()`. */
  reason?: string | undefined
}

/** A target that is listed, or its name. */
export type PausedTarget<T extends Targets> = T[keyof T] | (keyof T & string)

/** The methods of a listed target, or of the target with that name. */
export type PausedMethod<T extends Targets, P> = P extends keyof T & string ? MethodOf<T[P]> : MethodOf<P>

/** A pause in force. */
export interface Pause {
  /** The name of the target; null for all targets of the model. */
  target: string | null
  /** Null for all methods. */
  method: string | null
  reason: string | null
  /** When it ends by itself; null if only `resume` ends it. */
  until: Date | null
  since: Date
}

/** The arguments of `pause` and `resume`: a target or none, then options. */
export type PauseArguments = readonly unknown[]

/** @throws UnknownTargetError; AsyncGenError INVALID_OPTION, UNKNOWN_OPTION, INVALID_DURATION */
export async function pauseCalls(Attempt: BoundClass, args: PauseArguments): Promise<void> {
  requireModelClass(Attempt, 'pause')
  const targets = await Attempt.targets()
  const { target, method, until, reason } = parsed(targets, args, 'pause')
  if (target !== undefined) targets.find(target)
  if (target !== undefined && method !== undefined) targets.resolve(target, method)
  await Attempt.store.pauses.pause(pathsOf(targets, target, method), textOf(reason), endOf(until))
}

/**
 * Returns whether a pause was in force.
 * @throws UnknownTargetError; AsyncGenError INVALID_OPTION, UNKNOWN_OPTION
 */
export async function resumeCalls(Attempt: BoundClass, args: PauseArguments): Promise<boolean> {
  requireModelClass(Attempt, 'resume')
  const targets = await Attempt.targets()
  const { target, method } = parsed(targets, args, 'resume')
  const { pauses } = Attempt.store
  const [path, ...old] = pathsOf(targets, target, method)
  // Older names that another pause of the target covers stay paused.
  const others = (await pauses.list()).filter((other) => other.target === path.target && other.method !== path.method)
  const covered = others.flatMap((other) => pathsOf(targets, other.target, other.method).slice(1))
  return await pauses.resume([path, ...old.filter((name) => !covered.some((other) => isDeepStrictEqual(name, other)))])
}

export async function listPauses(Attempt: BoundClass): Promise<Pause[]> {
  const rows = await Attempt.store.pauses.list()
  return rows.map(({ target, method, reason, until, since }) => ({
    target: target === ALL ? null : target,
    method: method === ALL ? null : method,
    reason,
    until,
    since,
  }))
}

/** Rows know the model, and the claim compares only that. */
function requireModelClass(Attempt: BoundClass, method: string): void {
  if (!isSubclass(Attempt)) return
  throw new AsyncGenError(
    'INVALID_OPTION',
    `${Attempt.name}.${method}: a pause is for all attempts of the model ${Attempt.model}, and cannot be for one of its subclasses. ` +
      `Call ${method} on the class of the model, with a target or a method if the others are to run.`,
  )
}

interface Parsed extends PauseOptions {
  target?: string
  method?: string
}

/** Without a target, the first argument has the options. A target that is undefined (an import that failed) is no request to pause all. */
function parsed(targets: TargetList, args: PauseArguments, method: 'pause' | 'resume'): Parsed {
  const [first, second = {}] = args
  const known = method === 'pause' ? ['until', 'reason'] : []
  if (args.length === 0) return {}
  if (args.length === 1 && isOptions(targets, first)) return checked(first, known, method)
  const target = typeof first === 'string' ? first : targets.nameOf(requireObject(first, method))
  return { ...checked(second, ['method', ...known], method), target }
}

/** An object of functions is a target, an object without them has options. */
function isOptions(targets: TargetList, value: unknown): value is object {
  if (!isPlainObject(value) || targets.has(value)) return false
  return !Object.values(value).some((each) => typeof each === 'function')
}

function requireObject(value: unknown, method: string): object {
  if ((typeof value === 'object' && value !== null) || typeof value === 'function') return value
  throw new UnknownTargetError(
    `${method}(${String(value)}): the first argument is no target. Pass a target of targets.ts or its name. ` +
      `For all calls of the model, call ${method}() without a target.`,
  )
}

function checked(options: unknown, known: readonly string[], method: string): Parsed {
  if (!isPlainObject(options))
    throw new AsyncGenError(
      'INVALID_OPTION',
      `The options of ${method} are ${String(options)}. They must be an object.`,
    )
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown === undefined) return options
  const why = unknown === 'method' ? 'without a target' : 'here'
  throw new AsyncGenError(
    'UNKNOWN_OPTION',
    `${method} has no option "${unknown}" ${why}. Its options are: ${known.join(', ') || 'none'}.`,
  )
}

/** A target and a method, then the older names that rows may have for them. */
function pathsOf(targets: TargetList, target: string = ALL, method: string = ALL): [PausePath, ...PausePath[]] {
  if (target === ALL) return [{ target, method: ALL }]
  if (method !== ALL) return [{ target, method }, ...targets.oldPathsOf(target, method)]
  return [{ target, method }, ...targets.oldPathsOf(target).filter((old) => old.target !== target)]
}

function endOf(until: PauseOptions['until']): PauseEnd {
  if (until === undefined || until === null) return {}
  if (until instanceof Date) {
    if (until.getTime() > Date.now()) return { at: until }
    throw invalidUntil(Number.isNaN(until.getTime()) ? 'an invalid Date' : until.toISOString())
  }
  const after = milliseconds(until, 'until')
  if (after > 0 && !Number.isNaN(new Date(Date.now() + after).getTime())) return { after }
  throw invalidUntil(JSON.stringify(until))
}

function invalidUntil(given: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `until is ${given}. It must be a time in the future, or a length of time.`)
}

/** The longest reason, in characters. */
const MAX_REASON = 1000

/** PostgreSQL's text holds no U+0000, and UTF-8 no lone surrogates. */
function textOf(reason: string | undefined): string | null {
  if (reason === undefined || reason === null) return null
  if (typeof reason !== 'string')
    throw new AsyncGenError('INVALID_OPTION', `reason is ${String(reason)}. It must be a text.`)
  return reason.slice(0, MAX_REASON).replaceAll('\0', '\ufffd').toWellFormed()
}
