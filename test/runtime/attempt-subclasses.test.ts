import { attemptTask, BaseAttempt, defineTargets } from '@async-gen/runtime'
import { runOnce } from 'graphile-worker'
import { afterAll, afterEach, describe, expect, expectTypeOf, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

const heard: string[] = []

const Work = {
  note: async (name: string) => name,
  break: async () => {
    throw new Error('no answer')
  },
  spawn: async () => {
    await Attempt.async(Work).note('child')
  },
}

// `defineTargets` takes an object here that is filled once the classes are there, as modules are.
const subclasses: Record<string, object> = {}
const targets = defineTargets(() => ({ Work }), { subclasses })

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
class UrgentAttempt extends Attempt {
  override async handlePerformError(error: unknown) {
    heard.push(`${this.constructor.name}: ${(error as Error).message}`)
    await super.handlePerformError(error)
  }
  get pager() {
    return 'ops'
  }
}
class VeryUrgentAttempt extends UrgentAttempt {}
/** Listed nowhere. */
class UnknownAttempt extends Attempt {}
// As a bundler would rename the class: rows keep the name that is listed.
class Renamed extends Attempt {}
/** Of another model, which has the same targets. */
class Foreign extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
Object.assign(subclasses, { UrgentAttempt, VeryUrgentAttempt, CalmAttempt: Renamed, Foreign })

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)

afterEach(async () => {
  heard.length = 0
  await rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE')
})
afterAll(() => db.close())

const record = async () => {
  const plain = await Attempt.async(Work).note('plain')
  const urgent = await UrgentAttempt.async(Work).note('urgent')
  const very = await VeryUrgentAttempt.async(Work).note('very')
  return { plain, urgent, very }
}
const ids = (attempts: { id: bigint }[]) => attempts.map(({ id }) => id)

describe('A21: single-table inheritance', () => {
  it('a subclass finds and counts its own attempts alone, with those of its subclasses', async () => {
    const { plain, urgent, very } = await record()

    expect(ids(await UrgentAttempt.where({}))).toEqual([very.id, urgent.id])
    expect(ids(await VeryUrgentAttempt.pending({ target: Work }))).toEqual([very.id])
    expect(await UrgentAttempt.count()).toBe(2)
    expect(await VeryUrgentAttempt.count({ status: 'pending' })).toBe(1)
    expect(await UrgentAttempt.find(plain.id)).toBeNull()
    expect(await VeryUrgentAttempt.find(urgent.id)).toBeNull()
    expect((await UrgentAttempt.find(very.id))?.id).toBe(very.id)

    expect(ids(await Attempt.pending())).toEqual([very.id, urgent.id, plain.id])
    expect(await Attempt.count()).toBe(3)
  })

  it('the class of the model returns instances of the subclasses', async () => {
    const { plain, urgent, very } = await record()

    const found = await Attempt.where({})
    expect(found.map((attempt) => attempt.constructor)).toEqual([VeryUrgentAttempt, UrgentAttempt, Attempt])
    expect((await Attempt.find(urgent.id))?.constructor).toBe(UrgentAttempt)
    expect((await UrgentAttempt.find(very.id))?.constructor).toBe(VeryUrgentAttempt)
    expect((await Attempt.find(plain.id))?.constructor).toBe(Attempt)
    expectTypeOf(await UrgentAttempt.find(very.id)).toEqualTypeOf<UrgentAttempt | null>()
    expect((await UrgentAttempt.find(very.id))?.pager).toBe('ops')
  })

  it('the worker performs each with the hooks of its class', async () => {
    await UrgentAttempt.async(Work).break()
    await VeryUrgentAttempt.async(Work).break()
    await Attempt.async(Work).break()
    await runJobs(url, Attempt)
    expect(heard.sort()).toEqual(['UrgentAttempt: no answer', 'VeryUrgentAttempt: no answer'])
    expect(await rows('SELECT type FROM attempts ORDER BY id')).toEqual([
      { type: 'UrgentAttempt' },
      { type: 'VeryUrgentAttempt' },
      { type: null },
    ])
  })

  it('a class that is listed nowhere keeps its rows, which others take for the class of the model', async () => {
    const unknown = await UnknownAttempt.async(Work).note('x')
    expect((await Attempt.find(unknown.id))?.constructor).toBe(Attempt)
    expect((await UnknownAttempt.find(unknown.id))?.constructor).toBe(UnknownAttempt)
    expect(await UnknownAttempt.count()).toBe(1)
  })

  it.each(['Foreign', 'toString', '__proto__'])(
    'a row whose type is no subclass of its model is taken for the class of the model: %s',
    async (type) => {
      const { id } = await Attempt.async(Work).note('x')
      await rows('UPDATE attempts SET type = $1', [type])
      expect((await Attempt.find(id))?.constructor).toBe(Attempt)
    },
  )

  it('parents and children may be of any class', async () => {
    const parent = await UrgentAttempt.async(Work).spawn()
    await parent.perform()
    const [child] = await parent.children()
    expect(child?.constructor).toBe(Attempt)
    expect((await child?.parent())?.constructor).toBe(UrgentAttempt)
  })

  it('a duplicate is an instance of the class that recorded it', async () => {
    const idempotenceToken = 'once'
    const first = await UrgentAttempt.async(Work, { idempotenceToken }).note('x')
    const second = await Attempt.async(Work, { idempotenceToken }).note('x')
    expect(second).toMatchObject({ id: first.id, duplicate: true, constructor: UrgentAttempt })
  })

  it('rows keep the name under which a class is listed, whatever the class is called', async () => {
    const calm = await Renamed.async(Work).note('x')
    expect(await rows('SELECT type FROM attempts')).toEqual([{ type: 'CalmAttempt' }])
    expect((await Attempt.find(calm.id))?.constructor).toBe(Renamed)
    expect(await Renamed.count()).toBe(1)
  })

  it('a class that only the task is given runs with its own hooks', async () => {
    class Loud extends Attempt {
      override async handlePerformError() {
        heard.push('Loud')
      }
    }
    await Loud.async(Work).break()
    const taskList = { attempt: attemptTask(Attempt, [Loud]) }
    await runOnce({ connectionString: url, taskList, noHandleSignals: true })
    expect(heard).toEqual(['Loud'])
  })
})
