import type { AttemptClass } from '../../attempt/attempt.js'
import type { Flags } from '../flags.js'
import type { CommandResult } from '../result.js'
import { UsageError } from '../usage.js'
import { changeAttempts, wholeId } from './change.js'
import { hostClass } from './classes.js'
import { detailsOf, factsOf } from './facts.js'
import { filterOf } from './filter.js'
import { listPauses, pauseAttempts, resumeAttempts } from './pause.js'
import { sheetOf, tableOf } from './present.js'
import type { ParsedSubcommand } from './usage.js'

/** Runs `attempts`. It uses the host's own classes, so overrides in them apply. */
export async function attempts({ name, words }: ParsedSubcommand, flags: Flags): Promise<CommandResult> {
  if (name === 'pauses') return await listPauses(flags)
  const Attempt = await hostClass(flags.worker, flags.model)
  try {
    switch (name) {
      case 'list':
        return await list(Attempt, flags)
      case 'show':
        return await show(Attempt, words[0]!, flags)
      case 'pause':
        return await pauseAttempts(Attempt, words[0], flags)
      case 'resume':
        return await resumeAttempts(Attempt, words[0])
      default:
        return await changeAttempts(Attempt, name, words, flags)
    }
  } finally {
    await Attempt.db.close()
    await Attempt.db.disconnectPrisma()
  }
}

const DEFAULT_LIMIT = '20'

async function list(Attempt: AttemptClass, flags: Flags): Promise<CommandResult> {
  const limit = limitOf(flags)
  const [found, pauses] = await Promise.all([Attempt.where(filterOf(flags), { limit }), Attempt.pauses()])
  const facts = found.map((attempt) => factsOf(attempt, pauses, flags.decrypt))
  const last = found.length === limit ? [`These are the newest ${limit}. --limit lists more.`] : []
  return {
    lines: found.length > 0 ? [...tableOf(facts), ...last] : ['No attempt matches.'],
    json: { attempts: facts },
  }
}

async function show(Attempt: AttemptClass, word: string, { decrypt }: Flags): Promise<CommandResult> {
  const id = wholeId(word)
  const attempt = await Attempt.find(id)
  if (!attempt) {
    const message = `There is no attempt ${id} of ${Attempt.model}.`
    return { lines: [message], json: { error: { code: 'NOT_FOUND', message } }, exitCode: 1 }
  }
  const facts = await detailsOf(attempt, decrypt)
  return { lines: sheetOf(facts), json: { attempt: facts } }
}

function limitOf({ limit = DEFAULT_LIMIT }: Flags): number {
  if (/^[1-9]\d{0,5}$/.test(limit)) return Number(limit)
  throw new UsageError(`--limit is ${JSON.stringify(limit)}. It must be a whole number from 1 to 999999.`)
}
