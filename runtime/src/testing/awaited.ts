import { AsyncLocalStorage } from 'node:async_hooks'
import { AsyncGenError } from '../core/errors.js'

/** The calls of the test kit that run in a function of `inRollback`, with their names. */
const running = new AsyncLocalStorage<Map<Promise<unknown>, string>>()

/** Makes a call of the test kit known to `requireAwaited`. */
export async function tracked<Result>(name: string, run: () => Promise<Result>): Promise<Result> {
  const calls = running.getStore()
  const call = run()
  calls?.set(call, name)
  try {
    return await call
  } finally {
    calls?.delete(call)
  }
}

/**
 * Runs a function, and waits for the calls of the test kit that still run at its end.
 * @throws what the function throws; AsyncGenError NOT_AWAITED if there are such calls
 */
export async function requireAwaited<Result>(run: () => Promise<Result>): Promise<Result> {
  const calls = new Map<Promise<unknown>, string>()
  let names: string[] = []
  const result = await running.run(calls, run).finally(async () => {
    names = [...calls.values()]
    await Promise.allSettled(calls.keys())
  })
  if (names.length === 0) return result
  throw new AsyncGenError(
    'NOT_AWAITED',
    `The function of inRollback() has ended, and ${names.join(', ')} still ran. Write \`await\` before each.`,
  )
}
