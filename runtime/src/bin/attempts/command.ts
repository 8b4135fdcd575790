import type { AttemptClass } from '../../attempt/attempt.js'
import { nameHint } from '../../attempt/named-call.js'
import { using } from '../database-errors.js'
import type { Flags } from '../flags.js'
import type { CommandResult } from '../result.js'
import { UsageError } from '../usage.js'
import { changeAttempts, wholeIds } from './change.js'
import { hostClass } from './classes.js'
import { type DetailedFacts, detailsOf, factsOf } from './facts.js'
import { filterOf } from './filter.js'
import { listAllLimits } from './limits.js'
import { withNames } from './names.js'
import { listPauses, pauseAttempts, resumeAttempts } from './pause.js'
import { sheetOf, tableOf } from './present.js'
import type { ParsedSubcommand } from './usage.js'

/** Runs `attempts`. It uses the host's own classes, so overrides in them apply. */
export async function attempts({ name, words }: ParsedSubcommand, flags: Flags): Promise<CommandResult> {
  if (name === 'pauses') return await listPauses(flags)
  if (name === 'limits') return await listAllLimits(flags)
  const Attempt = await hostClass(flags.worker, flags.model)
  return await using(Attempt.db, async () => {
    switch (name) {
      case 'list':
        return await list(Attempt, await withNames(Attempt, flags))
      case 'show':
        return await show(Attempt, words, flags)
      case 'pause':
        return await pauseAttempts(Attempt, words[0], flags)
      case 'resume':
        return await resumeAttempts(Attempt, words[0], flags)
      default:
        return await changeAttempts(Attempt, name, words, await withNames(Attempt, flags))
    }
  })
}

const DEFAULT_LIMIT = '20'

async function list(Attempt: AttemptClass, flags: Flags): Promise<CommandResult> {
  const limit = limitOf(flags)
  const [found, pauses] = await Promise.all([Attempt.where(filterOf(flags), { limit }), Attempt.pauses()])
  const facts = found.map((attempt) => factsOf(attempt, pauses, flags.decrypt))
  const last = found.length === limit ? [`These are the newest ${limit}. --limit lists more.`] : []
  const hint = found.length > 0 ? [] : await nameHint(Attempt, flags)
  return {
    lines: found.length > 0 ? [...tableOf(facts, terminalWidth()), ...last] : ['No attempt matches.', ...hint],
    json: { attempts: facts, ...(hint[0] && { hint: hint[0] }) },
  }
}

/** Elsewhere than on a terminal, lines are whole: for grep and files. */
function terminalWidth(): number | undefined {
  // A terminal that does not tell its width has 0 columns.
  return (process.stdout.isTTY && process.stdout.columns) || undefined
}

/** With one id, the JSON has the attempt; with several, a list. */
async function show(Attempt: AttemptClass, words: readonly string[], { decrypt }: Flags): Promise<CommandResult> {
  const ids = wholeIds(words)
  const found: DetailedFacts[] = []
  const missing: string[] = []
  for (const id of ids) {
    const attempt = await Attempt.find(id)
    if (attempt) found.push(await detailsOf(attempt, decrypt))
    else missing.push(`There is no attempt ${id} of ${Attempt.model}.`)
  }
  const error = missing.length > 0 && { error: { code: 'NOT_FOUND', message: missing.join(' ') } }
  return {
    lines: [...found.flatMap((facts, i) => (i > 0 ? ['', ...sheetOf(facts)] : sheetOf(facts))), ...missing],
    json: { ...(ids.length > 1 ? { attempts: found } : found[0] && { attempt: found[0] }), ...error },
    exitCode: missing.length > 0 ? 1 : 0,
  }
}

function limitOf({ limit = DEFAULT_LIMIT }: Flags): number {
  if (/^[1-9]\d{0,5}$/.test(limit)) return Number(limit)
  throw new UsageError(`--limit is ${JSON.stringify(limit)}. It must be a whole number from 1 to 999999.`)
}
