import { createInterface } from 'node:readline/promises'
import type { AttemptClass, AttemptRecord } from '../../attempt/attempt.js'
import type { AttemptStatus } from '../../attempt/row.js'
import { printable } from '../../core/printable.js'
import type { Flags } from '../flags.js'
import type { CommandResult } from '../result.js'
import { UsageError } from '../usage.js'
import { filterOf } from './filter.js'

export type Change = 'retry' | 'cancel' | 'expire'

interface Verb {
  done: string
  bulk: 'retryAll' | 'cancelAll' | 'expireAll'
  /** The statuses that it changes without --status. */
  statuses: AttemptStatus[]
  /** The statuses of single attempts that it changes. */
  allowed: AttemptStatus[]
}

const VERBS: Record<Change, Verb> = {
  retry: {
    done: 'retried',
    bulk: 'retryAll',
    statuses: ['failed'],
    allowed: ['pending', 'failed', 'expired', 'cancelled'],
  },
  cancel: {
    done: 'cancelled',
    bulk: 'cancelAll',
    statuses: ['pending', 'running'],
    allowed: ['pending', 'running'],
  },
  expire: { done: 'expired', bulk: 'expireAll', statuses: ['pending'], allowed: ['pending'] },
}

/** Changes the attempts with these ids, or all that match the filter of the flags. */
export async function changeAttempts(
  Attempt: AttemptClass,
  change: Change,
  ids: readonly string[],
  flags: Flags,
): Promise<CommandResult> {
  const filter = filterOf(flags, VERBS[change].statuses)
  const hasFilter = Object.keys(filter).length > 0
  if (ids.length > 0 && hasFilter) throw new UsageError('Give either ids or filters, not both.')
  if (ids.length > 0) return await changeEach(Attempt, change, ids, flags)
  if (hasFilter) return await changeMatching(Attempt, change, filter, flags)
  throw new UsageError(
    `Which attempts? Give ids, or filters such as --status, --target or --since: attempts ${change} --help`,
  )
}

interface Outcome {
  id: string
  /** Why it was not changed. */
  problem?: string
  name?: string
}

async function changeEach(
  Attempt: AttemptClass,
  change: Change,
  ids: readonly string[],
  { 'dry-run': dryRun }: Flags,
): Promise<CommandResult> {
  const outcomes: Outcome[] = []
  for (const id of ids.map(wholeId)) outcomes.push(await changeOne(Attempt, change, id, dryRun))
  const changed = outcomes.filter(({ problem }) => problem === undefined)
  const failed = outcomes.filter(({ problem }) => problem !== undefined)
  const { done } = VERBS[change]
  return {
    lines: outcomes.map(({ id, name, problem }) => problem ?? `${id}  ${name}  ${dryRun ? 'would be ' : ''}${done}`),
    json: {
      action: change,
      dryRun: dryRun === true,
      count: changed.length,
      changed: changed.map(({ id }) => id),
      failed: failed.map(({ id, problem }) => ({ id, message: problem })),
    },
    exitCode: failed.length > 0 ? 1 : 0,
  }
}

async function changeOne(Attempt: AttemptClass, change: Change, id: string, dryRun = false): Promise<Outcome> {
  const attempt = await Attempt.find(id)
  if (!attempt) return { id, problem: `There is no attempt ${id} of ${Attempt.model}.` }
  const name = printable(`${attempt.target}.${attempt.method}`, 60)
  if (!VERBS[change].allowed.includes(attempt.status)) return { id, problem: refusal(attempt, change) }
  if (dryRun) return { id, name }
  try {
    await attempt[change]()
    return { id, name }
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'INVALID_STATE') throw error
    return { id, problem: refusal(attempt, change) }
  }
}

function refusal({ id, status }: AttemptRecord, change: Change): string {
  return `Attempt ${id} is ${status}, so it was not ${VERBS[change].done}.`
}

/** @throws UsageError */
export function wholeId(text: string): string {
  if (/^-?\d{1,19}$/.test(text)) return text
  throw new UsageError(`${JSON.stringify(text)} is not the id of an attempt. An id is a whole number: 42.`)
}

async function changeMatching(
  Attempt: AttemptClass,
  change: Change,
  filter: object,
  { 'dry-run': dryRun, yes, json }: Flags,
): Promise<CommandResult> {
  const { done, bulk } = VERBS[change]
  const count = await checked(() => Attempt[bulk](filter, { dryRun: true }))
  const answer = (text: string, changed: number, exitCode = 0): CommandResult => ({
    lines: [text],
    json: { action: change, dryRun: dryRun === true, count: changed },
    exitCode,
  })
  if (dryRun) return answer(`${attemptsOf(count)} would be ${done}.`, count)
  if (count === 0) return answer('No attempt matches. Nothing was changed.', 0)
  if (!yes) {
    if (json || !process.stdin.isTTY || !process.stderr.isTTY)
      throw new UsageError(`Nothing was changed: ${attemptsOf(count)} would be ${done}. Add --yes to do it.`)
    if (!(await confirm(`${attemptsOf(count)} will be ${done}. Continue? [y/N] `)))
      return answer('Nothing was changed.', 0, 1)
  }
  const changed = await Attempt[bulk](filter)
  return answer(`${attemptsOf(changed)} ${changed === 1 ? 'was' : 'were'} ${done}.`, changed)
}

/** A filter that the operation does not take is wrong usage. */
async function checked<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run()
  } catch (error) {
    if ((error as { code?: unknown }).code === 'INVALID_OPTION') throw new UsageError((error as Error).message)
    throw error
  }
}

async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // Ctrl-D, or the end of the input, is no.
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('')))
  const answer = await Promise.race([terminal.question(question).catch(() => ''), closed])
  terminal.close()
  return /^y(es)?$/i.test(answer.trim())
}

function attemptsOf(count: number): string {
  return count === 1 ? '1 attempt' : `${count} attempts`
}
