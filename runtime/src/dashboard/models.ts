import type { AttemptClass } from '../attempt/attempt.js'
import type { ReportClass } from '../report/report.js'
import type { DashboardSettings } from './options.js'
import { PageError } from './page.js'

/** The class that a path names: by its own name, as a model may have several. */
export function classOf({ attempts }: DashboardSettings, name: string | undefined): AttemptClass {
  const found = attempts.find((each) => each.name === name)
  if (found) return found
  throw new PageError(404, 'The dashboard shows no such class of attempts.')
}

/** @throws PageError */
export function idOf(text: string | undefined): bigint {
  if (text !== undefined && /^-?\d{1,18}$/.test(text)) return BigInt(text)
  throw new PageError(404, 'There is no such attempt.')
}

/** @throws PageError */
export function reportClass({ reports }: DashboardSettings, type: string): ReportClass {
  const found = reports.find((Report) => Report.type === type)
  if (found) return found
  throw new PageError(404, 'The dashboard shows no such class of reports.')
}
