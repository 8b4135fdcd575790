import { setTimeout as sleep } from 'node:timers/promises'
import { defineTargets } from '@async-gen/runtime'
import { Attempt } from './attempt.js'
import { holdUntilReleased, note } from './effects.js'

export const Probe = {
  /** Goes on until it is released, whatever its signal says. */
  hold: async (what: string): Promise<void> => {
    await holdUntilReleased(what)
  },
  /** Goes on until it is released, or told to stop. */
  heed: async (what: string): Promise<void> => {
    await holdUntilReleased(what, Attempt.current().signal)
  },
  /** Takes its time, then does something in the attempt's own transaction: exactly once. */
  once: async (what: string, milliseconds: number): Promise<void> => {
    await note(`${what} began`)
    const tx = await Attempt.current().tx()
    await sleep(milliseconds)
    await tx.$executeRaw`INSERT INTO effects (what, pid) VALUES (${what}, ${process.pid}::int)`
  },
  /** Does something outside of any transaction of the attempt: at least once. */
  plain: async (what: string): Promise<void> => {
    await note(what)
  },
  /** Snoozes once, then does something: both in the attempt's own transaction. */
  snoozeOnce: async (what: string) => {
    const { attempt, snooze, tx } = Attempt.current()
    const written = attempt.snoozes === 0 ? `${what} snoozed` : what
    await (await tx()).$executeRaw`INSERT INTO effects (what, pid) VALUES (${written}, ${process.pid}::int)`
    return attempt.snoozes === 0 ? snooze(0) : written
  },
  /** The same without a transaction. */
  snoozePlain: async (what: string) => {
    const { attempt, snooze } = Attempt.current()
    await note(attempt.snoozes === 0 ? `${what} snoozed` : what)
    return attempt.snoozes === 0 ? snooze(0) : what
  },
  /** In its first run it goes on for ever, whatever its signal says; then it does something. */
  deafOnce: async (what: string): Promise<void> => {
    const { run, tx } = Attempt.current()
    await (await tx()).$executeRaw`INSERT INTO effects (what, pid) VALUES (${what}, ${process.pid}::int)`
    if (run === 1) await new Promise(() => {})
  },
  fail: async (message: string): Promise<void> => {
    throw new Error(message)
  },
  /** Ends its own process, each time. */
  poison: async (): Promise<void> => {
    process.kill(process.pid, 'SIGKILL')
    await sleep(10_000)
  },
}

export const targets = defineTargets({ Probe })
