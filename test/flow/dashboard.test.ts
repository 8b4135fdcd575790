import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { asyncDashboard, type DashboardAction } from '@async-gen/runtime/dashboard'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Client, linksOf } from '../dashboard/client.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

const Resize = { image: async (name: string) => name }
const Album = { publish: async () => {} }
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Resize, Album }),
}) {}

const seen: DashboardAction[] = []
const dashboard = asyncDashboard(db, {
  attempts: [Attempt],
  authorize: () => ({ user: 'ada' }),
  onAction: async (action) => void seen.push(action),
})
const client = new Client(dashboard)
const reader = new Client(
  asyncDashboard(db, { attempts: [Attempt], authorize: () => ({ user: 'eve', readOnly: true }) }),
)
const image = (name: string) => ({ target: Resize, method: 'image' as const, args: [name] as [string] })

beforeEach(() => {
  seen.length = 0
})
afterEach(() => query(url, 'TRUNCATE attempts, async_batches'))

describe('the page of a batch', () => {
  const recorded = () => Attempt.batch([image('a'), image('b')], { then: { target: Album, method: 'publish' } })

  it('shows how far it is, its calls and the call that follows', async () => {
    const batch = await recorded()
    await query(url, `UPDATE attempts SET status = 'failed', completed_at = now() WHERE args = '["a"]'`)
    const page = await client.visit(`/async/batches/Attempt/${batch.id}`)
    expect(page.status).toBe(200)
    for (const text of [
      `Batch ${batch.id} of Attempt`,
      '1 of 2 calls have ended.',
      '50 %',
      'failed 1',
      'Album.publish',
    ])
      expect(page.text).toContain(text)
    const member = await client.visit(`/async/attempts/Attempt/${batch.thenId}`)
    expect(linksOf(member, `batch ${batch.id}`)).toEqual([`/async/batches/Attempt/${batch.id}`])
    expect((await client.visit('/async/batches/Attempt/999')).status).toBe(404)
  })

  it('cancels it after a question, and reports that to the audit log', async () => {
    const batch = await recorded()
    const asked = await client.visit(`/async/batches/Attempt/${batch.id}/confirm`)
    expect(asked.text).toContain('2 calls that have not ended will be cancelled')
    expect((await client.confirm(asked)).text).toContain('2 attempts cancelled.')
    expect(await Attempt.count({ status: 'cancelled' })).toBe(3)
    expect(seen).toEqual([
      expect.objectContaining({ action: 'cancel', subject: `batch ${batch.id} of Attempt`, changed: 2 }),
    ])
    expect((await reader.visit(`/async/batches/Attempt/${batch.id}/confirm`)).status).toBe(403)
    expect(linksOf(await reader.visit(`/async/batches/Attempt/${batch.id}`), 'Cancel')).toEqual([])
  })
})

describe('the page of an attempt', () => {
  it('shows what it waits for, and what waits for it', async () => {
    const first = await Attempt.async(Resize).image('a')
    const second = await Attempt.async(Resize, { after: [first], ifFailed: 'run' }).image('b')
    const page = await client.visit(`/async/attempts/Attempt/${second.id}`)
    for (const text of ['blocked', 'Waits for', 'it runs when all have ended']) expect(page.text).toContain(text)
    expect(linksOf(page, 'Resize.image')).toContain(`/async/attempts/Attempt/${first.id}`)
    const other = await client.visit(`/async/attempts/Attempt/${first.id}`)
    expect(other.text).toContain('What waits for it')
    expect(linksOf(other, 'Resize.image')).toContain(`/async/attempts/Attempt/${second.id}`)
    await query(url, 'DELETE FROM attempts WHERE id = $1', [first.id])
    expect((await client.visit(`/async/attempts/Attempt/${second.id}`)).text).toContain(
      `attempt ${first.id}, which was deleted`,
    )
    expect(['Retry', 'Run now'].flatMap((label) => linksOf(page, label))).toEqual([])
  })

  it('is in the list of blocked attempts', async () => {
    const first = await Attempt.async(Resize).image('a')
    const second = await Attempt.async(Resize, { after: [first] }).image('b')
    const list = await client.visit('/async/attempts/Attempt?status=blocked')
    expect(list.text).toContain('blocked 1')
    expect(list.html).toContain(`/async/attempts/Attempt/${second.id}`)
    expect(list.html).not.toContain(`/async/attempts/Attempt/${first.id}"`)
  })
})
