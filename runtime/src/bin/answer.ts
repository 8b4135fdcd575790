import { isAsyncGenError } from '../core/errors.js'
import { toJson } from '../core/json-text.js'
import { wasLogged } from '../worker/crash-report.js'
import type { CommandResult } from './result.js'
import { UsageError } from './usage.js'

/** What a command prints, and the exit code. Default: 0. */
export interface Answer {
  stdout: string
  stderr: string
  exitCode: number | undefined
}

/** The text of a result, or with `json` its object. */
export function answerOf({ lines, json: object, exitCode }: CommandResult, json: boolean): Answer {
  const stdout = json ? `${toJson({ version: 1, ...object })}\n` : lines.length > 0 ? `${lines.join('\n')}\n` : ''
  return { stdout, stderr: '', exitCode }
}

/** The message of an error, or with `json` an object on stdout. */
export function errorAnswerOf(error: unknown, json: boolean): Answer {
  const usage = error instanceof UsageError
  const expected = isAsyncGenError(error)
  const code = usage ? 'USAGE' : expected ? error.code : 'INTERNAL'
  // The message of a system error (a folder, a port, a process of another user) is enough. Other errors need their stack.
  const isExpected = usage || expected || (error as NodeJS.ErrnoException | undefined)?.syscall
  const message = error instanceof Error ? (isExpected && error.message) || error.stack! : String(error)
  const remedy = expected ? error.remedy : undefined
  const exitCode = usage ? 2 : code === 'ALREADY_RUNNING' ? 4 : 1
  if (json)
    return { stdout: `${JSON.stringify({ version: 1, error: { code, message, remedy } })}\n`, stderr: '', exitCode }
  return { stdout: '', stderr: wasLogged(error) ? '' : `${message}\n`, exitCode }
}
