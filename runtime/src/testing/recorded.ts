import type { AttemptClass } from '../attempt/attempt.js'
import type { AttemptFilter, ClientOf, TargetsOf } from '../attempt/binding.js'
import type { AttemptOf, Callee, NotListed, WithinTransaction } from '../attempt/calls.js'
import type { AttemptFields } from '../attempt/fields.js'
import { TargetRecord } from '../attempt/record-target.js'
import type { ArgsOf, MethodOf } from '../attempt/target-types.js'
import { requireArgument } from './arguments.js'
import { tracked } from './awaited.js'
import { withinOptional } from './database-context.js'
import { type ExpectedArgs, mismatchesOf } from './match.js'

/** The target of what `async` takes: of a record, the records of its model. */
export type TargetOf<C> = C extends TargetRecord<infer Target> ? Target : C

/** The names of its methods. */
type MethodOfCallee<C> = C extends unknown ? MethodOf<TargetOf<C>> : never

/** One of them. If the name is another, the compiler's error shows the methods. */
export type NamedMethod<C, M> = M extends MethodOfCallee<C> ? M : MethodOfCallee<C>

/** The arguments of one of them, as a call passes them: those of a record are without its id. */
export type ArgsOfCallee<C, M> =
  C extends TargetRecord<infer Target>
    ? ArgsOf<Target, M> extends readonly [unknown, ...infer Rest]
      ? Rest
      : []
    : ArgsOf<C, M> extends readonly unknown[]
      ? ArgsOf<C, M>
      : []

/** Which recorded calls to return: those of `where`, by their arguments too. What is left out does not filter. */
export interface RecordedFilter<C, M> extends Omit<AttemptFilter, 'target' | 'method'> {
  method?: NamedMethod<C, M>
  /** They match by position, and in part: see `toHaveRecorded`. */
  args?: ExpectedArgs<ArgsOfCallee<C, M>>
}

/**
 * The recorded calls that match, in the order in which they were recorded.
 *
 *     const [attempt] = await recorded(Attempt, { target: OrderClient, method: 'fulfill' }, { tx })
 *
 * @param within `tx`: an open transaction, whose calls are found too
 */
export async function recorded<
  Class extends AttemptClass,
  const C extends object = Callee<TargetsOf<Class>>,
  const M extends string = string,
>(
  Attempt: Class,
  filter: RecordedFilter<C, M> & { target?: C extends Callee<TargetsOf<Class>> ? C : NotListed } = {},
  { tx }: WithinTransaction<ClientOf<Class>> = {},
): Promise<AttemptOf<InstanceType<Class>, TargetOf<C>, M>[]> {
  requireArgument('recorded', 'class', Attempt)
  const { target: callee, args, ...columns } = filter
  if (args !== undefined) requireArgument('recorded', 'arguments', args)
  const { target, args: expected } = callOf(callee as object | undefined, args)
  const where = { ...columns, ...(target && { target }) }
  const found = await tracked('recorded()', () => attemptsWhere(Attempt, where, tx))
  return found.filter((attempt) => !expected || argsMismatches(expected, attempt).length === 0) as never
}

/** The target of a call, and its arguments as the row has them: those of a record begin with its id. */
export function callOf(
  callee: object | undefined,
  args: readonly unknown[] | undefined,
): { target: object | undefined; args: readonly unknown[] | undefined } {
  if (!(callee instanceof TargetRecord)) return { target: callee, args }
  return { target: callee.target as object, args: [callee.id, ...(args ?? [])] }
}

/** Attempts that match a filter of `where`, the oldest first. */
export async function attemptsWhere(
  Attempt: AttemptClass,
  filter: object,
  tx: WithinTransaction['tx'],
): Promise<AttemptFields[]> {
  const all = { limit: Number.MAX_SAFE_INTEGER }
  const found = await withinOptional(Attempt.db, tx as never, () => Attempt.where(filter, all))
  return found.reverse()
}

/** Where the arguments of a recorded call differ. Arguments that are not expected, at the end, are not compared. */
export function argsMismatches(expected: readonly unknown[], attempt: AttemptFields) {
  const read = argsOf(attempt)
  if ('unreadable' in read) return [{ path: 'args', expected: '', actual: read.unreadable }]
  return expected.flatMap((arg, i) => mismatchesOf(arg, read.args[i], `args[${i}]`))
}

/** The arguments of a row may be encrypted with another key. */
export function argsOf(attempt: AttemptFields): { args: unknown[] } | { unreadable: string } {
  try {
    const { args } = attempt
    return Array.isArray(args) ? { args } : { unreadable: 'no list of arguments' }
  } catch (error) {
    return { unreadable: (error as Error).message }
  }
}
