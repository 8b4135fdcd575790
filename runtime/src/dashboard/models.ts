import type { AttemptClass } from '../attempt/attempt.js'
import { rowIdIn } from '../core/row-id.js'
import type { ReportClass } from '../report/report.js'
import type { DashboardSettings } from './options.js'
import { PageError } from './page.js'

/** The class that a path names: by its own name, as a model may have several. */
export function classOf({ attempts }: DashboardSettings, name: string | undefined): AttemptClass {
  const found = attempts.find((each) => each.name === name)
  if (found) return found
  throw new PageError(404, 'The dashboard shows no such class of attempts.')
}

/** How many names of calls a page offers. With thousands, it would be large, and nobody reads them. */
const MAX_OFFERED = 500

/** What a field for a call offers while the user types: the targets of some classes, and their methods. */
export async function offeredCalls(classes: readonly AttemptClass[]): Promise<string[]> {
  const targets = await Promise.all(classes.map(async (Attempt) => [...(await Attempt.targets()).names()]))
  const calls = targets
    .flat()
    .flatMap(([target, methods]) => [target, ...methods.map((method) => `${target}.${method}`)])
  return [...new Set(calls)].slice(0, MAX_OFFERED)
}

/**
 * @param noun what the row is
 * @throws PageError
 */
export function idOf(text: string | undefined, noun: string): bigint {
  const id = rowIdIn(text)
  if (id !== undefined) return id
  throw new PageError(404, `There is no such ${noun}.`)
}

/** @throws PageError */
export function reportClass({ reports }: DashboardSettings, type: string): ReportClass {
  const found = reports.find((Report) => Report.type === type)
  if (found) return found
  throw new PageError(404, 'The dashboard shows no such class of reports.')
}
