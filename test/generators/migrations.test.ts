import { describe, expect, it } from 'vitest'
import { migrationFolder } from '../../generators/changes/migrations.js'

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
