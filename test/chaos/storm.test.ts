import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createDatabase } from '../support/postgres.js'
import { bundleChaosHost } from './storm/host.js'
import { play } from './storm/play.js'
import { scenarios } from './storm/scenarios.js'
import type { Ground } from './storm/scene.js'

// The short form of `npm run test:chaos`: the same scenarios, counters and invariants, on the server of the test run.
const ground: Ground = {
  host: '',
  createDatabase: async () => {
    const url = await createDatabase(inject('postgres'), { template: 'template' })
    return { url, admin: url }
  },
}

beforeAll(async () => {
  ground.host = await bundleChaosHost()
})

afterAll(() => {
  rmSync(ground.host, { recursive: true, force: true })
})

describe('workers lose no call, and no effect through tx() happens twice', () => {
  // They wait most of the time.
  it.concurrent.each([
    ['completion-fails', 0, 'when statements that complete jobs fail'],
    ['terminate-briefly', 0, 'when PostgreSQL ends all sessions repeatedly'],
    ['kill-all', 500, 'when all are killed while five hundred calls are due'],
  ])(
    '%s, %i due: %s',
    async (name, backlog) => {
      const scenario = scenarios.find((each) => each.name === name)!
      const { broken, lost, doubled, logs } = await play(ground, scenario, { seed: 1, backlog, workers: 2 })
      const messages = logs.split('\n').filter((line) => !line.includes('"event":"run"'))
      expect({ broken, lost, doubled }, [...broken, ...messages].join('\n')).toEqual({
        broken: [],
        lost: 0,
        doubled: 0,
      })
    },
    600_000,
  )
})
