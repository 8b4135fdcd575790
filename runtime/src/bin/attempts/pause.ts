import type { AttemptClass } from '../../attempt/attempt.js'
import { type NamedCall, namedCall, nameHint } from '../../attempt/named-call.js'
import { deletePause, unmatchedReason } from '../../attempt/pause-match.js'
import { ALL, describePause, type PauseRow, pausedName, pausesInForce } from '../../attempt/pause-store.js'
import type { Database } from '../../core/database.js'
import { using } from '../database-errors.js'
import type { Flags } from '../flags.js'
import type { CommandResult } from '../result.js'
import { UsageError } from '../usage.js'
import { hostDatabase, loadedClasses } from './classes.js'
import { canAsk, confirm } from './confirm.js'
import { timeOf } from './filter.js'
import { asUsage } from './names.js'
import { attemptsOf } from './present.js'

/** A pause in force, as the commands show it. */
export interface ShownPause extends PauseRow {
  /** Why it matches no call, and how to remove it. */
  problem?: string
}

export async function pauseAttempts(
  Attempt: AttemptClass,
  word: string | undefined,
  flags: Flags,
): Promise<CommandResult> {
  const call = await pathOf(Attempt, word, flags)
  const { until, reason, json, 'dry-run': dryRun, all, yes } = flags
  const options = {
    ...(call.method !== undefined && { method: call.method }),
    ...(until !== undefined && { until: timeOf(until, 'until') }),
    ...(reason !== undefined && { reason }),
  }
  await asUsage(() => checkListed(Attempt, call))
  const name = nameOf(Attempt, call)
  if (dryRun || (call.target === undefined && !all && !yes)) {
    const waiting = attemptsOf(await Attempt.count({ status: 'pending', ...call }))
    const text = `${name} would be paused: ${waiting} would wait.`
    if (dryRun) return { lines: [text], json: { paused: false, dryRun: true } }
    if (json || !canAsk())
      throw new UsageError(
        `Nothing was paused: ${text} Add --all to pause all calls, or name a target. To list the pauses: attempts pauses`,
      )
    if (!(await confirm(`${name} will be paused: ${waiting} will wait. Continue? [y/N] `)))
      return { lines: ['Nothing was paused.'], json: { paused: false }, exitCode: 1 }
  }
  await asUsage(() => (call.target === undefined ? Attempt.pause(options) : Attempt.pause(call.target, options)))
  return await inForce(Attempt, 'paused', true)
}

export async function resumeAttempts(
  Attempt: AttemptClass,
  word: string | undefined,
  flags: Flags,
): Promise<CommandResult> {
  // SQL may have paused a name that has a dot in it and is not listed.
  const isWhole = (await Attempt.pauses()).some((pause) => pause.target === word && pause.method === null)
  const call = isWhole && word !== undefined ? { target: word } : await pathOf(Attempt, word, flags)
  const { target, method }: NamedCall = call
  const resumed = await asUsage(() =>
    target === undefined ? Attempt.resume() : Attempt.resume(target, method === undefined ? {} : { method }),
  )
  const result = await inForce(Attempt, 'resumed', resumed)
  // A name that is not listed any more is no error: its pause is to be ended too.
  const hint = resumed ? [] : await nameHint(Attempt, call)
  const meaning =
    target === undefined && !resumed && result.lines.length > 0
      ? ['Without a target, resume ends the pause of all calls, and no other. These pauses stay:']
      : []
  return {
    lines: [`${nameOf(Attempt, call)}: ${resumed ? 'resumed' : 'not paused'}.`, ...hint, ...meaning, ...result.lines],
    json: { ...result.json, ...(hint[0] && { hint: hint[0] }) },
  }
}

export async function listPauses({ model, worker }: Flags): Promise<CommandResult> {
  const db = await hostDatabase(worker)
  return await using(db, async () => {
    const pauses = (await shownPauses(db, worker)).filter((pause) => model === undefined || pause.model === model)
    return { lines: pauses.length > 0 ? pauses.map(lineOf) : ['Nothing is paused.'], json: { pauses } }
  })
}

/** The pauses in force, and why one of them matches nothing. */
export async function shownPauses(db: Database, worker: string | undefined): Promise<ShownPause[]> {
  const rows = await pausesInForce(db)
  if (rows.length === 0) return []
  const classes = await loadedClasses(worker)
  return await Promise.all(
    rows.map(async (row) => {
      const reason = unmatchedReason(db, row, await classes.get(row.model)?.targets())
      return reason === undefined ? row : { ...row, problem: `${reason} To remove it: ${deletePause(row)}` }
    }),
  )
}

export function lineOf({ problem, ...pause }: ShownPause): string {
  return `${describePause(pause)}.${problem === undefined ? '' : `\n  It matches nothing: ${problem}`}`
}

/** The result of a change, with the pauses that are in force now. */
async function inForce(Attempt: AttemptClass, key: 'paused' | 'resumed', value: boolean): Promise<CommandResult> {
  const pauses = (await pausesInForce(Attempt.db)).filter(({ model }) => model === Attempt.model)
  return { lines: pauses.map(lineOf), json: { [key]: value, pauses } }
}

async function pathOf(Attempt: AttemptClass, word: string | undefined, { method, all }: Flags): Promise<NamedCall> {
  if (word !== undefined && all) throw new UsageError('Give either a target or --all, not both.')
  if (word === undefined && method !== undefined)
    throw new UsageError(`--method needs a target: attempts pause OrderClient --method ${method}`)
  return await namedCall(Attempt, word, method)
}

/** @throws UnknownTargetError */
async function checkListed(Attempt: AttemptClass, { target, method }: NamedCall): Promise<void> {
  if (target === undefined) return
  const targets = await Attempt.targets()
  targets.find(target)
  if (method !== undefined) targets.resolve(target, method)
}

function nameOf({ model }: AttemptClass, { target, method = ALL }: NamedCall): string {
  return target === undefined ? `All calls of ${model}` : pausedName({ model, target, method })
}
