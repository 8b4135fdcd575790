import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { asyncDashboard } from '@async-gen/runtime/dashboard'
import { afterEach, describe, expect, it } from 'vitest'
import { answerOf, errorAnswerOf } from '../../runtime/src/bin/answer.js'
import { attempts } from '../../runtime/src/bin/attempts/command.js'
import { type CommandLine, parseCommandLine } from '../../runtime/src/bin/usage.js'
import { Client, linksOf, listedIds } from '../dashboard/client.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { compiled } from '../support/programs.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

// The command takes the classes of this folder, whose targets are others. Names that only rows have are valid there.
const Probe = { plain: async (name: string) => name }
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Probe }) }) {}

const plain = (name: string) => ({ target: Probe, method: 'plain' as const, args: [name] as [string] })
const client = () => new Client(asyncDashboard(db, { attempts: [Attempt] }))
const LIST = '/async/attempts/Attempt'

/** What the program prints, without a process for each command. */
async function command(...args: string[]) {
  const json = args.includes('--json')
  try {
    const line = ['attempts', ...args, '--worker', compiled('test/chaos/host/worker.ts')]
    const { subcommand, flags } = parseCommandLine(line, '') as CommandLine
    return answerOf(await attempts(subcommand!, flags), json)
  } catch (error) {
    return errorAnswerOf(error, json)
  }
}
const listedBy = async (...args: string[]) => {
  const { attempts: listed, hint } = JSON.parse((await command('list', ...args, '--json')).stdout)
  return { ids: listed.map(({ id }: { id: string }) => id), hint }
}

/** A batch of two calls, one of which has failed, with a call that follows, and a call that belongs to none. */
async function recordBatch() {
  const batch = await Attempt.batch([plain('a'), plain('b')], { then: plain('then') })
  await Attempt.async(Probe).plain('alone')
  await query(url, `UPDATE attempts SET status = 'failed', completed_at = now() WHERE args = '["a"]'`)
  const ids = await query(url, `SELECT id::text FROM attempts WHERE args IN ('["a"]', '["b"]') ORDER BY id DESC`)
  return { batch, ids: ids.map(({ id }) => id as string) }
}

/** Two occurrences of a schedule, one that has succeeded, and one of another schedule. */
async function recordOccurrences() {
  await Attempt.setSchedule('nightly', { ...plain('x'), cron: '0 4 * * *' })
  const rows = await query(
    url,
    `INSERT INTO attempts (target, method, args, schedule, status, completed_at) VALUES
       ('Probe', 'plain', '["1"]', 'nightly', 'succeeded', now()),
       ('Probe', 'plain', '["2"]', 'nightly', 'pending', NULL),
       ('Probe', 'plain', '["3"]', 'hourly', 'pending', NULL)
     RETURNING id::text`,
  )
  return rows.map(({ id }) => id as string).slice(0, 2)
}

afterEach(() => query(url, 'TRUNCATE attempts, async_batches, async_schedules'))

describe('the calls of a batch', () => {
  it('are listed by the dashboard, from links of its page, without the call that follows', async () => {
    const { batch, ids } = await recordBatch()
    const page = await client().visit(`/async/batches/Attempt/${batch.id}`)
    const [all] = linksOf(page, 'Filter them, or change many at once')
    expect(all).toBe(`${LIST}?batch=${batch.id}`)
    expect(listedIds(await client().visit(all!))).toEqual(ids)
    expect(listedIds(await client().visit(`${all}&order=reversed`))).toEqual([...ids].reverse())
    const ofStatus = linksOf(page, '1')
    expect(ofStatus).toEqual(['pending', 'failed'].map((status) => `${LIST}?status=${status}&batch=${batch.id}`))
    expect(listedIds(await client().visit(ofStatus[1]!))).toEqual([ids[1]])
    expect((await client().visit(`${LIST}?batch=999`)).text).toContain('There is no batch 999 of Attempt.')
    const wrong = await client().visit(`${LIST}?batch=x`)
    expect([wrong.status, wrong.text]).toEqual([400, expect.stringContaining('A batch is given by its id')])
  })

  it('are changed together, and no others', async () => {
    const { batch } = await recordBatch()
    const user = client()
    const asked = await user.visit(`${LIST}/confirm?action=retry&all=1&batch=${batch.id}`)
    expect(asked.text).toContain('Retry 1 attempt?')
    expect(asked.text).toContain(`batch "${batch.id}"`)
    expect((await user.confirm(asked)).text).toContain('1 attempt retried.')
  })

  it('are listed by `attempts --batch`', async () => {
    const { batch, ids } = await recordBatch()
    expect(await listedBy('--batch', String(batch.id))).toEqual({ ids, hint: undefined })
    expect(await listedBy('--failed', '--batch', String(batch.id))).toMatchObject({ ids: [ids[1]] })
    expect(await listedBy('--batch', '999')).toEqual({ ids: [], hint: 'There is no batch 999 of Attempt.' })
    expect((await command('list', '--batch', 'x')).stderr).toContain('--batch is "x". It must be the id of a batch')
    expect((await command('show', ids[0]!)).stdout).toContain(`batch           ${batch.id}`)
  })
})

describe('what a schedule has recorded', () => {
  it('is found by its name, in code', async () => {
    const ids = await recordOccurrences()
    const found = await Attempt.where({ schedule: 'nightly' })
    expect(found.map(({ id }) => String(id)).reverse()).toEqual(ids)
    expect(await Attempt.count({ schedule: 'nightly', status: 'pending' })).toBe(1)
    expect(await Attempt.cancelAll({ schedule: 'nightly' })).toBe(1)
    expect(found[0]!.toJSON().schedule).toBe('nightly')
    await expect(Attempt.where({ schedule: '' })).rejects.toThrow('schedule is "". It must be a text')
  })

  it('is listed by the dashboard, from links of the schedules and of its attempts', async () => {
    const ids = await recordOccurrences()
    const [link] = linksOf(await client().visit('/async/schedules'), 'nightly')
    expect(link).toBe(`${LIST}?schedule=nightly`)
    expect(listedIds(await client().visit(link!)).reverse()).toEqual(ids)
    expect(listedIds(await client().visit(`${link}&status=succeeded`))).toEqual([ids[0]])
    expect(linksOf(await client().visit(`${LIST}/${ids[0]}`), 'nightly')).toEqual([link])
    expect((await client().visit(`${LIST}?schedule=nigthly`)).text).toContain(
      'Attempt has no schedule "nigthly" now. Did you mean "nightly"?',
    )
  })

  it('is listed by `attempts --schedule`', async () => {
    const ids = await recordOccurrences()
    expect(await listedBy('--schedule', 'nightly')).toEqual({ ids: [...ids].reverse(), hint: undefined })
    expect(await listedBy('--schedule', 'nigthly')).toEqual({
      ids: [],
      hint: 'Attempt has no schedule "nigthly" now. Did you mean "nightly"?',
    })
    expect((await command('show', ids[0]!)).stdout).toContain('schedule        nightly')
  })
})

describe('the page of the batches', () => {
  it('lists them, the newest first, with their states and the calls that follow', async () => {
    expect((await client().visit('/async/batches')).text).toContain('There are no batches.')
    const { batch } = await recordBatch()
    const ended = await Attempt.batch([])
    const page = await client().visit('/async/batches')
    expect(page.text).toMatch(new RegExp(`${ended.id} finished 0 now.*${batch.id} running 1 now Probe.plain blocked`))
    expect(linksOf(page, String(batch.id))).toEqual([`/async/batches/Attempt/${batch.id}`])
    await query(url, 'DELETE FROM attempts WHERE id = $1', [batch.thenId])
    expect((await client().visit('/async/batches')).text).toContain(`attempt ${batch.thenId}, which was deleted`)
  })

  it('goes on to older ones', async () => {
    await query(url, `INSERT INTO async_batches (model) SELECT 'Attempt' FROM generate_series(1, 60)`)
    const page = await client().visit('/async/batches')
    const [next] = linksOf(page, 'Next page')
    const rest = await client().visit(next!)
    expect((rest.html.match(/\/async\/batches\/Attempt\/\d+"/g) ?? []).length).toBe(10)
    expect(linksOf(rest, 'Next page')).toEqual([])
  })
})

it('a dashboard without attempts has no links to their pages', async () => {
  const page = await new Client(asyncDashboard(db, { attempts: [] })).visit('/async')
  for (const name of ['Attempts', 'Batches', 'Schedules', 'Limits']) expect(linksOf(page, name)).toEqual([])
  expect(linksOf(page, 'Toasts')).not.toEqual([])
})
