import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { effects, worker } from './scene.js'

/** Has a worker die at a step of the attempt's run, another one take over, and returns how often the effect happened. */
async function timesWhenKilledAt(step: string, attempt: Attempt, effect: string) {
  const dying = await worker({ DIE_AT: step }, { file: 'dying-worker.ts', visible: false })
  await dying.exited
  await worker()
  await eventually('the end of the attempt', async () => (await attempt.reload()).isFinished)
  expect(attempt.status).toBe('succeeded')
  const times = (await effects()).filter(({ what }) => what === effect).length
  return { runs: attempt.numAttempts, times }
}

describe('a worker that is killed in the middle of a run', () => {
  it.each([
    ['claimed', 2],
    ['made', 2],
    ['stored', 2],
    ['committed', 1],
  ])('A9: when it had %s, what the call wrote through its transaction is there once', async (step, runs) => {
    const attempt = await Attempt.async(Probe).once('written', 0)
    expect(await timesWhenKilledAt(step, attempt, 'written')).toEqual({ runs, times: 1 })
  })

  it.each([
    ['claimed', 2, 1],
    ['made', 2, 2],
    ['committed', 1, 1],
  ])('A8: when it had %s, what the call did otherwise happened at least once', async (step, runs, times) => {
    const attempt = await Attempt.async(Probe).plain('done')
    expect(await timesWhenKilledAt(step, attempt, 'done')).toEqual({ runs, times })
  })
})
