import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Attempt } from './host/attempt.js'
import { db } from './host/database.js'
import { Probe } from './host/targets.js'
import { effect, sql, url, worker } from './scene.js'

/** Stands between a worker and PostgreSQL. What has fallen silent neither answers nor closes, as after a failover. */
const wires: [Socket, Socket][] = []
let dead = false
const proxy = createServer((worker) => {
  const { hostname, port } = new URL(url)
  const postgres = connect(Number(port), hostname)
  for (const socket of [worker, postgres]) socket.on('error', () => {})
  wires.push([worker, postgres])
  if (!dead) worker.pipe(postgres).pipe(worker)
})

function fallSilent() {
  for (const [worker, postgres] of wires) {
    worker.unpipe(postgres).pause()
    postgres.unpipe(worker).pause()
  }
}

beforeAll(async () => {
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
})

afterAll(() => {
  for (const sockets of wires) for (const socket of sockets) socket.destroy()
  proxy.close()
})

describe('a worker whose connections stop answering', () => {
  it('opens new ones and continues; if those hang too, it still stops at a signal, also while it starts', async () => {
    const through = new URL(url)
    through.port = String((proxy.address() as AddressInfo).port)
    const running = await worker({ DATABASE_URL: through.href })
    await Attempt.async(Probe).once('before', 0)
    await effect('before')
    const [first] = await db.workers()

    fallSilent()
    await Attempt.async(Probe).once('after', 0)
    await effect('after', running)
    const [second] = await eventually('the second presence', async () => {
      const workers = await db.workers()
      return workers.some(({ id }) => id !== first!.id) ? workers : undefined
    })
    expect(running.log()).toContain('The session with PostgreSQL was lost')
    expect(second).toMatchObject({ pid: running.pid })
    // The proxy keeps the first session open: PostgreSQL would hold its lock for minutes.
    await eventually('the end of the first presence', async () =>
      (await db.workers()).every(({ id }) => id !== first!.id),
    )

    // A job whose end cannot be stored would be released, and the exit code would be 1.
    await eventually('the end of the job', async () => (await sql('SELECT FROM graphile_worker.jobs')).length === 0)
    dead = true
    fallSilent()
    running.kill('SIGTERM')
    const known = wires.length
    const starting = await worker({ DATABASE_URL: through.href }, { visible: false })
    await eventually('its first connection', async () => wires.length > known)
    starting.kill('SIGTERM')
    expect(await running.exited, running.log()).toBe(0)
    expect(await starting.exited, starting.log()).toBe(0)
  })
})
