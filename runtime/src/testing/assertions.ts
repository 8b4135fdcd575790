import { AssertionError } from 'node:assert'
import type { AttemptClass } from '../attempt/attempt.js'
import type { ClientOf, TargetsOf } from '../attempt/binding.js'
import type { AttemptOf, Callee, NotListed, WithinTransaction } from '../attempt/calls.js'
import type { AttemptFields } from '../attempt/fields.js'
import type { AttemptStatus } from '../attempt/row.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import { requireArgument } from './arguments.js'
import { tracked } from './awaited.js'
import { comparedPart, type ExpectedArgs, type Mismatch, mismatchesOf, show } from './match.js'
import {
  type ArgsOfCallee,
  argsMismatches,
  argsOf,
  attemptsWhere,
  callOf,
  type NamedMethod,
  type TargetOf,
} from './recorded.js'

/** How a call must have been recorded. What is left out is not compared. */
export interface RecordedAs {
  /** How often. Default: at least once. */
  times?: number
  /** The call is due at the latest this long from now: `'1 minute'`. */
  scheduledWithin?: Duration
  /** The exact time for which it was recorded, or a matcher. */
  scheduledAt?: Date | { asymmetricMatch(actual: unknown): boolean }
  priority?: number
  /** The idempotence token. */
  token?: string
  status?: AttemptStatus
}

/** What `expectAttempt` returns. */
export interface AttemptExpectation<Class extends AttemptClass> {
  /**
   * Passes if the call was recorded. Returns the attempts that match, so that a test can go on with them.
   *
   * @param args They match by position, those at the end may be left out. An object matches in part. Matchers such as
   * `expect.any(Number)` work, and so do functions: `[(order) => order.number > 7]`.
   * @throws AssertionError that says what was recorded instead
   */
  toHaveRecorded<const C extends object, const M extends string>(
    target: C extends Callee<TargetsOf<Class>> ? C : NotListed,
    method: NamedMethod<C, M>,
    args?: ExpectedArgs<ArgsOfCallee<C, M>>,
    options?: RecordedAs,
  ): Promise<AttemptOf<InstanceType<Class>, TargetOf<C>, M>[]>
  /** Passes if no such call was recorded. */
  readonly not: {
    toHaveRecorded<const C extends object, const M extends string>(
      target: C extends Callee<TargetsOf<Class>> ? C : NotListed,
      method: NamedMethod<C, M>,
      args?: ExpectedArgs<ArgsOfCallee<C, M>>,
      options?: RecordedAs,
    ): Promise<void>
  }
}

/**
 * Expects something of the calls that were recorded. It works with every test runner.
 *
 *     await expectAttempt(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }])
 *     await expectAttempt(Attempt, { tx }).not.toHaveRecorded(Newsletter, 'deliverAll')
 *
 * @param within `tx`: an open transaction, whose calls are found too
 */
export function expectAttempt<Class extends AttemptClass>(
  Attempt: Class,
  { tx }: WithinTransaction<ClientOf<Class>> = {},
): AttemptExpectation<Class> {
  requireArgument('expectAttempt', 'class', Attempt)
  const check = (target: object, method: string, args?: readonly unknown[], options?: RecordedAs) =>
    checkRecorded(Attempt, { target, method, args, options }, tx)
  const toHaveRecorded = async (...call: Parameters<typeof check>) => {
    const { pass, matches, message, actual, expected } = await tracked('toHaveRecorded()', () => check(...call))
    if (pass) return matches
    throw new AssertionError({
      message: message(),
      actual,
      expected,
      operator: 'toHaveRecorded',
      stackStartFn: toHaveRecorded,
    })
  }
  const notToHaveRecorded = async (...call: Parameters<typeof check>) => {
    const { pass, message } = await tracked('not.toHaveRecorded()', () => check(...call))
    if (pass)
      throw new AssertionError({ message: message(), operator: 'not.toHaveRecorded', stackStartFn: notToHaveRecorded })
  }
  return { toHaveRecorded, not: { toHaveRecorded: notToHaveRecorded } } as never
}

/**
 * Matchers for `expect` of vitest and Jest: `expect.extend(attemptMatchers)` in a setup file. Then:
 *
 *     await expect(Attempt).toHaveRecorded(OrderClient, 'fulfill', [{ orderNumber: 7 }])
 */
export const attemptMatchers = {
  async toHaveRecorded(
    Attempt: AttemptClass,
    target: object,
    method: string,
    args?: readonly unknown[],
    options?: RecordedAs & WithinTransaction,
  ): Promise<{ pass: boolean; message: () => string; actual: unknown; expected: unknown }> {
    const check = () => checkRecorded(Attempt, { target, method, args, options }, options?.tx)
    const { matches: _, ...result } = await tracked('toHaveRecorded()', check)
    return result
  },
}

/** The matchers of `attemptMatchers`, for the types of a test runner. */
export interface AttemptMatchers<R, Class> {
  /** Passes if the call was recorded: see `expectAttempt`. `tx` in the options: an open transaction, whose calls are found too. */
  toHaveRecorded<const C extends object, const M extends string>(
    target: C extends Callee<TargetsOf<Class>> ? C : NotListed,
    method: NamedMethod<C, M>,
    args?: ExpectedArgs<ArgsOfCallee<C, M>>,
    options?: RecordedAs & WithinTransaction<ClientOf<Class>>,
  ): Promise<R>
}

declare global {
  // The types of vitest and @types/jest both take matchers from here.
  namespace jest {
    // biome-ignore lint/complexity/noBannedTypes: all declarations of an interface have the same parameters
    interface Matchers<R, T = {}> extends AttemptMatchers<R, T> {}
  }
}

interface ExpectedCall {
  target: object
  method: string
  args: readonly unknown[] | undefined
  options: RecordedAs | undefined
}

interface CheckResult {
  pass: boolean
  matches: AttemptFields[]
  /** Why it passed or not, for a failure of the assertion or of its negation. */
  message(): string
  /** For the diff of the test runner. */
  actual: unknown
  expected: unknown
}

/** A recorded call of the method, and where it differs from what is expected. */
interface Candidate {
  attempt: AttemptFields
  mismatches: Mismatch[]
}

async function checkRecorded(
  Attempt: AttemptClass,
  { target: callee, method, args: given, options = {} }: ExpectedCall,
  tx: WithinTransaction['tx'],
): Promise<CheckResult> {
  requireArgument('expect', 'class', Attempt)
  if (given !== undefined) requireArgument('toHaveRecorded', 'arguments', given)
  refuseUnknownOptions('toHaveRecorded', options, OPTIONS)
  const targets = await Attempt.targets()
  const { target, args } = callOf(callee, given)
  const name = targets.nameOf(target!)
  targets.resolve(name, method)
  const path = `${name}.${method}`
  const now = Attempt.db.now()
  const candidates = (await attemptsWhere(Attempt, { target, method }, tx)).map((attempt) => {
    return { attempt, mismatches: mismatches(attempt, args, options, now) }
  })
  const matching = candidates.filter(({ mismatches }) => mismatches.length === 0).map(({ attempt }) => attempt)
  const { times } = options
  const pass = times === undefined ? matching.length > 0 : matching.length === times
  const others = pass || candidates.length > 0 ? [] : await attemptsWhere(Attempt, {}, tx)
  const isUnseen = !tx && !Attempt.db.transactionOfTest && Attempt.db.isTransactionOpen()
  const nearest = candidates.toReversed().toSorted((a, b) => distance(a) - distance(b))
  const call = `${path}${args ? `(${args.map(show).join(', ')})` : ''}`
  return {
    pass,
    matches: matching,
    message: () => {
      if (pass) return messageOfMatches(Attempt.name, call, matching)
      if (matching.length > 0) return messageOfTimes(Attempt.name, call, matching, times!)
      const message = messageOfMisses(Attempt.name, call, nearest, others)
      return isUnseen ? `${message}\n\n${UNSEEN}` : message
    },
    ...compared(path, args, options, nearest[0]?.attempt),
  }
}

const OPTIONS = ['times', 'scheduledWithin', 'scheduledAt', 'priority', 'token', 'status', 'tx']

const UNSEEN = 'A transaction is open here. Its calls are found only if you pass it: expectAttempt(Attempt, { tx }).'

function mismatches(
  attempt: AttemptFields,
  args: readonly unknown[] | undefined,
  { scheduledWithin, scheduledAt, priority, token, status }: RecordedAs,
  now: number,
): Mismatch[] {
  const found = args ? argsMismatches(args, attempt) : []
  if (scheduledWithin !== undefined) {
    const latest = new Date(now + milliseconds(scheduledWithin, 'scheduledWithin'))
    if (attempt.scheduledAt > latest) {
      const expected = `within ${scheduledWithin}, by ${latest.toISOString()}`
      found.push({ path: 'scheduledAt', expected, actual: attempt.scheduledAt.toISOString() })
    }
  }
  const fields = { scheduledAt, priority, idempotenceToken: token, status }
  for (const [field, expected] of Object.entries(fields)) {
    if (expected !== undefined) found.push(...mismatchesOf(expected, attempt[field as keyof typeof fields], field))
  }
  return found
}

/** How far a recorded call is from the expected one. Other arguments make another call; options say only how it was recorded. */
function distance({ mismatches }: Candidate): number {
  const weights = mismatches.map(({ path }) => (path in WORDS ? 1 : 1 + Object.keys(WORDS).length))
  return weights.reduce((sum, weight) => sum + weight, 0)
}

/** What was expected and the nearest call, with the same properties. */
function compared(
  call: string,
  args: readonly unknown[] | undefined,
  { times: _, scheduledWithin: __, token, ...options }: RecordedAs,
  attempt: AttemptFields | undefined,
): Pick<CheckResult, 'actual' | 'expected'> {
  const fields = { ...options, ...(token !== undefined && { idempotenceToken: token }) }
  const expected = { call, ...(args && { args }), ...fields }
  if (!attempt) return { expected, actual: null }
  const read = argsOf(attempt)
  const recordedArgs = 'args' in read ? comparedPart(args, read.args.slice(0, args?.length)) : read.unreadable
  const actual = Object.fromEntries(Object.keys(fields).map((field) => [field, attempt[field as keyof AttemptFields]]))
  return { expected, actual: { call, ...(args && { args: recordedArgs }), ...actual } }
}

function messageOfMatches(Attempt: string, call: string, matching: AttemptFields[]): string {
  return [`${Attempt} has recorded ${call}, which was not expected:`, '', ...listed(matching)].join('\n')
}

function messageOfTimes(Attempt: string, call: string, matching: AttemptFields[], times: number): string {
  const counted = `${matching.length} time${matching.length === 1 ? '' : 's'}, not ${times}`
  return [`${Attempt} has recorded ${call} ${counted}:`, '', ...listed(matching)].join('\n')
}

function messageOfMisses(Attempt: string, call: string, nearest: Candidate[], others: AttemptFields[]): string {
  const [first, ...more] = nearest
  if (!first) {
    const instead = others.length === 0 ? ['No call was recorded.'] : ['Recorded were:', ...listed(others)]
    return [`${Attempt} has not recorded ${call}.`, '', ...instead].join('\n')
  }
  const { attempt, mismatches } = first
  const diff = mismatches.flatMap(({ path, expected, actual }) => [`- ${path}: ${expected}`, `+ ${path}: ${actual}`])
  return [
    `${Attempt} has not recorded ${call}${butFor(mismatches)}`,
    '',
    '- expected',
    `+ recorded: ${line(attempt)}`,
    '',
    ...diff,
    ...(more.length > 0 ? ['', 'Also recorded:', ...listed(more.map((candidate) => candidate.attempt))] : []),
  ].join('\n')
}

const WORDS: Record<string, string> = {
  scheduledAt: 'for another time',
  priority: 'with another priority',
  idempotenceToken: 'with another token',
  status: 'with another status',
}

/** The end of a first line: that only options differ. */
function butFor(mismatches: Mismatch[]): string {
  const words = mismatches.map(({ path }) => WORDS[path])
  return words.includes(undefined) ? '.' : ` as expected. It was recorded, but ${words.join(', ')}.`
}

/** How many calls a message lists. */
const MAX_LISTED = 8

function listed(attempts: AttemptFields[]): string[] {
  const lines = attempts.slice(0, MAX_LISTED).map((attempt) => `  ${line(attempt)}`)
  return attempts.length > MAX_LISTED ? [...lines, `  and ${attempts.length - MAX_LISTED} more`] : lines
}

function line(attempt: AttemptFields): string {
  const read = argsOf(attempt)
  const args = 'args' in read ? read.args.map(show).join(', ') : read.unreadable
  return `attempt ${attempt.id}: ${attempt.target}.${attempt.method}(${args}), ${attempt.status}, due at ${attempt.scheduledAt.toISOString()}`
}
