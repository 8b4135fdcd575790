import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { effects, release, sql, worker } from './scene.js'

it.each([2, 4])(
  'P13: %i workers share the calls, and each call runs once',
  async (count) => {
    const calls = 60
    const slots = 3 * count
    const workers = await Promise.all(Array.from({ length: count }, () => worker({ ASYNC_WORKER_CONCURRENCY: '3' })))
    // As many as all workers together can run: each of them has its share.
    await Promise.all(Array.from({ length: slots }, (_, i) => Attempt.async(Probe).hold(`held ${i}`)))
    await eventually('the calls that fill all slots', async () => (await effects()).length === slots)
    const shares = (await effects()).map(({ pid }) => pid).sort()
    expect(shares).toEqual(workers.flatMap(({ pid }) => [pid, pid, pid]).sort())
    await release()
    const started = Date.now()
    await Promise.all(Array.from({ length: calls }, (_, i) => Attempt.async(Probe).once(`call ${i}`, 200)))
    await eventually('all calls', async () => (await succeeded()) === calls + slots)
    const seconds = (Date.now() - started) / 1000
    console.log(
      `${calls} calls of 0.2 s, 3 at a time, by ${count}: ${seconds} s, at best ${(calls * 0.2) / (3 * count)} s`,
    )

    expect(await doneOnce()).toBe(calls)
    expect(await sql('SELECT FROM attempts WHERE num_attempts <> 1')).toEqual([])
  },
  180_000,
)

it('P13, P16: no call is lost or runs twice while workers are killed, stopped and started', async () => {
  const calls = 150
  const settings = { ASYNC_WORKER_CONCURRENCY: '3', ASYNC_WORKER_STOP_TIMEOUT: '100ms' }
  const [first, second] = await Promise.all([worker(settings), worker(settings), worker(settings)])
  await Promise.all(Array.from({ length: calls }, (_, i) => Attempt.async(Probe).once(`call ${i}`, 300)))
  await sleep(1000)
  first.kill('SIGKILL')
  await sleep(1000)
  second.kill('SIGTERM')
  await worker(settings)
  const [fourth] = await Promise.all([worker(settings), second.exited])
  await sleep(1000)
  fourth.kill('SIGKILL')
  await eventually('all calls', async () => (await succeeded()) === calls)
  expect(await doneOnce()).toBe(calls)
  const died = await sql(`SELECT FROM attempts WHERE errors @> '[{"name": "WorkerDied"}]'`)
  expect(died.length).toBeGreaterThan(0)
}, 180_000)

async function succeeded(): Promise<number> {
  const [row] = await sql(`SELECT count(*)::int AS count FROM attempts WHERE status = 'succeeded'`)
  return row.count
}

/** How many calls have had their effect exactly once; throws for one that had it more often. */
async function doneOnce(): Promise<number> {
  const done = (await effects()).map(({ what }) => what).filter((what) => /^call \d+$/.test(what))
  expect(done.filter((what, i) => done.indexOf(what) !== i)).toEqual([])
  return done.length
}
