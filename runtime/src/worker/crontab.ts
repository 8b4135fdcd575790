import type { ParsedCronItem } from 'graphile-worker'
import { AsyncGenError } from '../core/errors.js'
import type { GraphileModule } from './graphile-module.js'

/**
 * Parses a crontab with Graphile Worker, whose error names neither the line nor its text.
 * @throws AsyncGenError INVALID_CRONTAB
 */
export function parsedCrontab({ parseCrontab }: GraphileModule, text: string): ParsedCronItem[] {
  try {
    return parseCrontab(text)
  } catch (error) {
    const lines = text.split(/\r?\n/)
    // The line is parsed after as many empty lines as precede it, so that the parser's error has its number.
    const index = lines.findIndex((line, i) => isInvalid(() => parseCrontab('\n'.repeat(i) + line)))
    const where = index < 0 ? 'The crontab' : `Line ${index + 1} of the crontab, ${JSON.stringify(lines[index])},`
    throw new AsyncGenError('INVALID_CRONTAB', `${where} is not valid: ${(error as Error).message}`, { cause: error })
  }
}

function isInvalid(parse: () => unknown): boolean {
  try {
    parse()
    return false
  } catch {
    return true
  }
}
