import type { AttemptClass } from '../../attempt/attempt.js'
import { namedCall } from '../../attempt/named-call.js'
import type { Flags } from '../flags.js'
import { UsageError } from '../usage.js'

/** The flags with `--target OrderClient.fulfill` as a target and a method. */
export async function withNames(Attempt: AttemptClass, flags: Flags): Promise<Flags> {
  return { ...flags, ...(await namedCall(Attempt, flags.target, flags.method)) }
}

/** A name or an option that an operation does not take is wrong usage. */
export async function asUsage<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run()
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string }
    if (code === 'INVALID_OPTION' || code === 'UNKNOWN_TARGET') throw new UsageError(message)
    throw error
  }
}
