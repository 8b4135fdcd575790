// What must not compile. `npm run check` compiles this file: an error that no longer occurs is one itself.
import { BaseAttempt, defineSchedules, defineTargets, limit } from '@async-gen/runtime'
import { expect, expectTypeOf, it } from 'vitest'
import { testDatabase } from '../support/database.js'

await testDatabase()
const { db } = await import('../.app/src/async/database.js')

class Mail {
  static async send(to: string, cc?: string) {
    return { to, cc }
  }
  static async flush() {}
}
const targets = defineTargets({ Mail })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}

/** Never called: only its types matter. */
const neverCalled = async () => {
  const cron = '0 7 * * *'
  defineSchedules(targets, {
    valid: { target: Mail, method: 'send', args: ['ada'], cron },
    'without arguments': { target: Mail, method: 'flush', cron },
    // @ts-expect-error a method that there is not
    method: { target: Mail, method: 'sent', cron },
    // @ts-expect-error an argument of another type
    argument: { target: Mail, method: 'send', args: [7], cron },
    // @ts-expect-error a missing argument
    missing: { target: Mail, method: 'send', cron },
    // @ts-expect-error a misspelt option
    option: { target: Mail, method: 'flush', cron, timezone: 'UTC' },
    // @ts-expect-error a policy that there is not
    policy: { target: Mail, method: 'flush', cron, overlap: 'never' },
    // @ts-expect-error no times
    times: { target: Mail, method: 'flush' },
    // @ts-expect-error a target that is not listed
    target: { target: Date, method: 'now', cron },
  })
  await Attempt.setSchedule('valid', { target: Mail, method: 'send', args: ['ada', 'eve'], cron })
  // @ts-expect-error an argument of another type
  await Attempt.setSchedule('argument', { target: Mail, method: 'send', args: [7], cron })
  // @ts-expect-error a misspelt option
  await Attempt.setSchedule('option', { target: Mail, method: 'flush', cron, timezone: 'UTC' })
  // @ts-expect-error a schedule is found by its name
  await Attempt.where({ schedule: 7 })

  limit(Mail, { key: (to) => to ?? '', concurrency: 1 })
  // @ts-expect-error a key is a text
  limit(Mail, { method: 'send', key: (to) => to.length, concurrency: 1 })
  // @ts-expect-error a misspelt option
  limit(Mail, { concurency: 1 })
  // @ts-expect-error no duration
  limit(Mail, { rate: { limit: 1, per: '1 minut' } })
  // @ts-expect-error an order that there is not
  limit(Mail, { order: 'fifo' })
  // @ts-expect-error a method that there is not
  await Attempt.setLimit(Mail, { method: 'sent', concurrency: 1 })
  // @ts-expect-error the name of a target that is not listed
  await Attempt.setLimit('Male', { concurrency: 1 })

  // @ts-expect-error a debounced call has a time to wait
  Attempt.async(Mail, { debounce: { key: 'x' } })
  // @ts-expect-error debounce sets the time
  Attempt.schedule(new Date(), Mail, { debounce: { key: 'x', wait: '1s' } })
  // @ts-expect-error unique while it is pending
  Attempt.async(Mail, { unique: true })

  const send = { target: Mail, method: 'send', args: ['ada'] } as const
  const batch = await Attempt.batch([{ target: Mail, method: 'send', args: ['ada'] }], {
    then: { target: Mail, method: 'flush' },
  })
  expectTypeOf(await batch.add({ target: Mail, method: 'flush' })).toEqualTypeOf<Attempt[]>()
  // @ts-expect-error an argument of another type
  await Attempt.batch([{ target: Mail, method: 'send', args: [7] }])
  // @ts-expect-error a missing argument
  await Attempt.batch([], { then: { target: Mail, method: 'send' } })
  // @ts-expect-error what follows a batch waits for nothing else
  await Attempt.batch([], { then: { target: Mail, method: 'flush', after: [1] } })
  // @ts-expect-error a call belongs to one batch
  await Attempt.batch([{ target: Mail, method: 'flush', batch }])
  // @ts-expect-error a list is for createMany
  await Attempt.create([send])
  // @ts-expect-error a misspelt option
  await batch.wait({ timeut: '5s' })

  const first = await Attempt.async(Mail).send('ada')
  Attempt.async(Mail, { after: [first, 7, '8', 9n], ifFailed: 'run', batch })
  // @ts-expect-error a list of attempts
  Attempt.async(Mail, { after: first })
  // @ts-expect-error an attempt, not its promise
  Attempt.async(Mail, { after: [Attempt.async(Mail).flush()] })
  // @ts-expect-error a policy that there is not
  Attempt.async(Mail, { after: [first], ifFailed: 'ignore' })
  const [receipt] = Attempt.current().resultsOf(Mail, 'send')
  expectTypeOf(receipt).toEqualTypeOf<{ to: string; cc: string | undefined } | undefined>()
  // @ts-expect-error a method that there is not
  Attempt.current().resultsOf(Mail, 'sent')
}

it('the compiler refuses wrong schedules, limits, batches and dependencies', () => {
  expect(neverCalled).toBeTypeOf('function')
})
