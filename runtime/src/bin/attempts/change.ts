import type { AttemptClass } from '../../attempt/attempt.js'
import type { RescheduleOptions } from '../../attempt/binding.js'
import {
  CHANGES,
  type Change,
  type ChangeOne,
  type ChangeOutcome,
  changeOne,
  rescheduling,
} from '../../attempt/change.js'
import { nameHint } from '../../attempt/named-call.js'
import type { Flags } from '../flags.js'
import type { CommandResult } from '../result.js'
import { UsageError } from '../usage.js'
import { canAsk, confirm } from './confirm.js'
import { filterOf, timeOf } from './filter.js'
import { asUsage } from './names.js'
import { attemptsOf } from './present.js'

/** Changes the attempts with these ids, or all that match the filter of the flags. */
export async function changeAttempts(
  Attempt: AttemptClass,
  change: Change,
  ids: readonly string[],
  flags: Flags,
): Promise<CommandResult> {
  const filter = filterOf(flags, CHANGES[change].statuses)
  if (change === 'reschedule' && flags.to === undefined)
    throw new UsageError(
      'When should they run? Give --to: a length of time from now (1h), or a time (2026-11-01T08:30).',
    )
  const hasFilter = Object.keys(filter).length > 0
  if (ids.length > 0 && hasFilter) throw new UsageError('Give either ids or filters, not both.')
  if (ids.length > 0) return await changeEach(Attempt, change, ids, flags)
  if (hasFilter) return await changeMatching(Attempt, change, filter, flags)
  throw new UsageError(
    `Which attempts? Give ids, or filters such as --status, --target or --since: attempts ${change} --help`,
  )
}

async function changeEach(
  Attempt: AttemptClass,
  change: Change,
  ids: readonly string[],
  flags: Flags,
): Promise<CommandResult> {
  const dryRun = flags['dry-run']
  const changeIt: ChangeOne =
    change === 'reschedule' ? await rescheduling(Attempt, timeOf(flags.to!, 'to')) : (attempt) => attempt[change]()
  const outcomes: ChangeOutcome[] = []
  for (const id of wholeIds(ids)) outcomes.push(await changeOne(Attempt, change, id, dryRun ? undefined : changeIt))
  const changed = outcomes.filter(({ problem }) => problem === undefined)
  const failed = outcomes.filter(({ problem }) => problem !== undefined)
  const { done } = CHANGES[change]
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

/**
 * Each id once.
 * @throws UsageError
 */
export function wholeIds(words: readonly string[]): string[] {
  return [...new Set(words.map(wholeId))]
}

function wholeId(text: string): string {
  if (/^-?\d{1,19}$/.test(text)) return String(BigInt(text))
  throw new UsageError(`${JSON.stringify(text)} is not the id of an attempt. An id is a whole number: 42.`)
}

async function changeMatching(
  Attempt: AttemptClass,
  change: Change,
  filter: object,
  flags: Flags,
): Promise<CommandResult> {
  const { 'dry-run': dryRun, yes, json, to } = flags
  const { done, bulk } = CHANGES[change]
  const options = change === 'reschedule' ? { to: timeOf(to!, 'to') } : {}
  const run = (dry: object) => Attempt[bulk](filter, { ...options, ...dry } as RescheduleOptions)
  const count = await asUsage(() => run({ dryRun: true }))
  const hint = count === 0 ? await nameHint(Attempt, flags) : []
  const answer = (text: string, changed: number, exitCode = 0): CommandResult => ({
    lines: [text, ...hint],
    json: { action: change, dryRun: dryRun === true, count: changed, ...(hint[0] && { hint: hint[0] }) },
    exitCode,
  })
  if (dryRun) return answer(`${attemptsOf(count)} would be ${done}.`, count)
  if (count === 0) return answer('No attempt matches. Nothing was changed.', 0)
  if (!yes) {
    if (json || !canAsk())
      throw new UsageError(`Nothing was changed: ${attemptsOf(count)} would be ${done}. Add --yes to do it.`)
    if (!(await confirm(`${attemptsOf(count)} will be ${done}. Continue? [y/N] `)))
      return answer('Nothing was changed.', 0, 1)
  }
  const changed = await run({})
  return answer(`${attemptsOf(changed)} ${changed === 1 ? 'was' : 'were'} ${done}.`, changed)
}
