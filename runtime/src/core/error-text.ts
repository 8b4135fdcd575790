import { toJson } from './json-text.js'

/** An error as a row stores it. A row that was written by hand may hold anything. */
export interface StoredErrorText {
  name?: unknown
  message?: unknown
  code?: unknown
  stack?: unknown
  cause?: unknown
  errors?: unknown
}

/** The name, and the code if neither the name (`PermanentError`, `PERMANENT`) nor the message says it. */
export function headOf(error: StoredErrorText): string {
  const { name, code } = error
  const letters = (text: unknown) => String(text).replaceAll('_', '').toUpperCase()
  const isNew = code !== undefined && !messageOf(error).includes(String(code)) && !letters(name).includes(letters(code))
  return isNew ? `${String(name)} ${String(code)}` : String(name)
}

export function messageOf({ message }: StoredErrorText): string {
  return typeof message === 'string' ? message : toJson(message ?? null)
}

export function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== '')
}

/** The line of a message that says most: Prisma's begin with an excerpt of the code, and end with what is wrong. */
export function usefulLine(error: StoredErrorText): string {
  const lines = linesOf(messageOf(error))
  return (/^PrismaClient/.test(String(error.name)) ? lines.at(-1) : lines[0]) ?? ''
}
