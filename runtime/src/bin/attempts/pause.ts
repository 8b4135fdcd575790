import type { AttemptClass } from '../../attempt/attempt.js'
import { describePause, type PauseRow, pausesInForce } from '../../attempt/pause-store.js'
import type { Flags } from '../flags.js'
import type { CommandResult } from '../result.js'
import { hostDatabase } from './classes.js'
import { timeOf } from './filter.js'

export async function pauseAttempts(
  Attempt: AttemptClass,
  word: string | undefined,
  { until, reason }: Flags,
): Promise<CommandResult> {
  const path = await pathOf(Attempt, word)
  const options = {
    ...(path.method !== undefined && { method: path.method }),
    ...(until !== undefined && { until: timeOf(until, 'until') }),
    ...(reason !== undefined && { reason }),
  }
  await (path.target === undefined ? Attempt.pause(options) : Attempt.pause(path.target, options))
  return await inForce(Attempt, 'paused', true)
}

export async function resumeAttempts(Attempt: AttemptClass, word: string | undefined): Promise<CommandResult> {
  const { target, method } = await pathOf(Attempt, word)
  const resumed =
    target === undefined ? await Attempt.resume() : await Attempt.resume(target, method === undefined ? {} : { method })
  const result = await inForce(Attempt, 'resumed', resumed)
  return {
    ...result,
    lines: [`${word ?? `All of ${Attempt.model}`} was ${resumed ? 'resumed' : 'not paused'}.`, ...result.lines],
  }
}

export async function listPauses({ model, worker }: Flags): Promise<CommandResult> {
  const db = await hostDatabase(worker)
  try {
    const pauses = (await pausesInForce(db)).filter((pause) => model === undefined || pause.model === model)
    return { lines: pauses.length > 0 ? pauses.map(lineOf) : ['Nothing is paused.'], json: { pauses } }
  } finally {
    await db.close()
    await db.disconnectPrisma()
  }
}

function lineOf(pause: PauseRow): string {
  return `${describePause(pause)}.`
}

/** The result of a change, with the pauses that are in force now. */
async function inForce(Attempt: AttemptClass, key: 'paused' | 'resumed', value: boolean): Promise<CommandResult> {
  const pauses = (await pausesInForce(Attempt.db)).filter(({ model }) => model === Attempt.model)
  return { lines: pauses.map(lineOf), json: { [key]: value, pauses } }
}

/** `OrderClient.fulfill`, or `OrderClient`. The name of a target may have a dot in it. */
async function pathOf(Attempt: AttemptClass, word?: string): Promise<{ target?: string; method?: string }> {
  if (word === undefined) return {}
  const dot = word.indexOf('.')
  if (dot === -1 || (await isListed(Attempt, word))) return { target: word }
  return { target: word.slice(0, dot), method: word.slice(dot + 1) }
}

async function isListed(Attempt: AttemptClass, name: string): Promise<boolean> {
  try {
    return Boolean((await Attempt.targets()).find(name))
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'UNKNOWN_TARGET') throw error
    return false
  }
}
