import { describe, expect, inject, it } from 'vitest'
import { migrationFolder } from '../../generators/changes/migrations.js'
import { createDatabase, query } from '../support/postgres.js'
import { sampleHost } from './sample-host.js'

const now = new Date('2026-11-21T09:30:05.999Z')

describe('the folder of a new migration', () => {
  it.each([
    ['is the time of its making, in UTC', [], '20261121093005_create_toasts'],
    ['sorts after the last one', ['20240101000000_init', '20250101000000_more'], '20261121093005_create_toasts'],
    ['sorts after one of the same second', ['20261121093005_init'], '20261121093006_create_toasts'],
    [
      'sorts after one from the future',
      ['20300101000000_later', '20240101000000_init'],
      '20300101000001_create_toasts',
    ],
    ['does not mind names without a time', ['0001_init', 'baseline'], '20261121093005_create_toasts'],
  ])('%s', (_what, existing, folder) => {
    expect(migrationFolder('create_toasts', existing, now)).toBe(folder)
  })
})

it('the second migrations run in a database of 0.1.0 with rows, and put right what they refuse from then on', async () => {
  const host = sampleHost()
  await host.run('install')
  await host.run('attempt')
  const url = await createDatabase(inject('postgres'))
  const migrate = async (name: RegExp) => {
    for (const path of host.files().filter((file) => name.test(file))) await query(url, host.read(path))
  }
  await migrate(/_create_\w+\/migration\.sql$/)
  await query(
    url,
    `INSERT INTO toasts (name, key, task) VALUES ('oat.breakfast', '1', 'pay'), ('oat.breakfast', '2', 'refresh_report')`,
  )
  await query(url, `INSERT INTO attempts (target, method, errors, priority) VALUES ('Mail', 'send', '{}', -2147483648)`)
  await migrate(/_extend_\w+\/migration\.sql$/)

  const tasks = await query(url, 'UPDATE toasts SET refresh_at = now() RETURNING task')
  expect(tasks).toEqual([{ task: 'refresh_report' }, { task: 'refresh_toast' }])
  const pay = query(url, `INSERT INTO toasts (name, key, task) VALUES ('oat.breakfast', '3', 'pay')`)
  await expect(pay).rejects.toThrow('toasts_task_is_a_refresh')
  expect(await query(url, 'SELECT ended_at FROM async_workers')).toEqual([])
})
