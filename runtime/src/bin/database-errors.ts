import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'

/** Runs something with the host's database, and closes its connections. An error of connecting says which database, and what to do. */
export async function using<Result>(db: Database, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run()
  } catch (error) {
    throw connectionError(db, error) ?? error
  } finally {
    await db.close()
    await db.disconnectPrisma()
  }
}

/** Codes of Node and SQLSTATEs: the server cannot be reached, is starting or stopping, or has no free connection. */
const UNREACHABLE =
  /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EACCES|ENOENT|08...|53300|57P0.)$/

/** The messages of pg for a server that does not answer. They have no code. */
const NO_ANSWER = /^(Connection terminated|timeout expired|timeout exceeded when trying to connect)/

function connectionError(db: Database, error: unknown): AsyncGenError | undefined {
  // A host with several addresses gives an error for each.
  const { code, message, syscall } = firstOf(error)
  const isFile = code === 'ENOENT' || code === 'EACCES'
  const isUnreachable = (UNREACHABLE.test(code) && (!isFile || syscall === 'connect')) || NO_ANSWER.test(message)
  if (!isUnreachable && code !== '3D000' && !/^28...$/.test(code)) return undefined
  // A client that is not connected knows the parts of the URL.
  const { host, port, database, user } = db.openSession()
  const server = `${host}:${port}`
  if (code === '3D000')
    return new AsyncGenError(
      'DATABASE_ABSENT',
      `The server ${server} has no database "${database}". Create it, or correct DATABASE_URL.`,
      { cause: error },
    )
  if (!isUnreachable)
    return new AsyncGenError(
      'DATABASE_LOGIN_FAILED',
      `The server ${server} does not let the user "${user}" into the database "${database}": ${message}. ` +
        'Correct the user and the password in DATABASE_URL.',
      { cause: error },
    )
  return new AsyncGenError(
    'DATABASE_UNREACHABLE',
    `The database "${database}" on ${server} cannot be reached: ${message}. Start the server, or correct DATABASE_URL.`,
    { cause: error },
  )
}

function firstOf(error: unknown): { code: string; message: string; syscall: string | undefined } {
  const { errors, code, message, syscall } = Object(error)
  if (Array.isArray(errors) && errors.length > 0) return firstOf(errors[0])
  return { code: String(code ?? ''), message: String(message ?? ''), syscall }
}
