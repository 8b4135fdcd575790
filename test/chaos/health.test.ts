import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, inject, it } from 'vitest'
import { prisma } from '../.app/src/db.js'
import { eventually } from '../support/eventually.js'
import { query } from '../support/postgres.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { breakfast } from './host/toasts.js'
import { effect, release, sql, url, worker } from './scene.js'

describe('the health endpoints', () => {
  it('show that the worker is alive, that it is ready while it takes jobs, and its metrics', async () => {
    const running = await worker({ ASYNC_WORKER_HEALTH: '0', ASYNC_WORKER_CONCURRENCY: '2' })
    const address = await eventually(
      'the address',
      async () => /"health":"(127\.0\.0\.1:\d+)"/.exec(running.log())?.[1],
    )
    const get = async (path: string) => {
      const response = await fetch(`http://${address}${path}`)
      return { status: response.status, body: await response.text() }
    }
    expect(await get('/livez')).toEqual({ status: 200, body: 'ok\n' })
    expect(await get('/readyz')).toEqual({ status: 200, body: 'ok\n' })
    expect((await get('/')).status).toBe(404)

    await Attempt.async(Probe).once('done', 0)
    await effect('done')
    await Attempt.create({ target: Probe, method: 'fail', args: ['no'], maxAttempts: 1 })
    await eventually('the failure', async () => (await sql(`SELECT FROM attempts WHERE status = 'failed'`)).length > 0)
    await breakfast(await prisma.oat.create({ data: { name: 'Rolled' } }))
    await effect('toast began')
    await Attempt.async(Probe).heed('held')
    await effect('held began')
    await Attempt.async(Probe).once('waiting', 0)

    const { body } = await eventually('the counts', async () => {
      const answer = await get('/metrics')
      return answer.body.includes('{operation="run",outcome="failed"}') ? answer : undefined
    })
    const samples = Object.fromEntries(body.split('\n').map((line) => line.split(/ (?=\S+$)/)))
    expect(samples).toMatchObject({
      async_gen_workers: '1',
      'async_gen_rows{table="attempts",state="due"}': '1',
      'async_gen_rows{table="attempts",state="running"}': '1',
      'async_gen_rows{table="attempts",state="failed"}': '1',
      'async_gen_rows{table="toasts",state="running"}': '1',
      'async_gen_duration_seconds_count{operation="run",outcome="succeeded"}': '1',
      'async_gen_duration_seconds_bucket{operation="run",outcome="failed",le="+Inf"}': '1',
    })
    expect(Number(samples['async_gen_oldest_due_seconds{table="attempts"}'])).toBeGreaterThan(0)
    expect(body).toMatch(/^# TYPE async_gen_duration_seconds histogram$/m)

    running.kill('SIGTERM')
    await eventually('the end of its readiness', async () => (await get('/readyz')).status === 503)
    expect(await get('/readyz')).toEqual({ status: 503, body: 'stopping\n' })
    expect((await get('/livez')).status).toBe(200)
    await release()
    expect(await running.exited).toBe(0)
  })

  it('show that it is not ready while PostgreSQL is down; it continues when PostgreSQL is back', async () => {
    const running = await worker({ ASYNC_WORKER_HEALTH: '0' })
    const address = await eventually(
      'the address',
      async () => /"health":"(127\.0\.0\.1:\d+)"/.exec(running.log())?.[1],
    )
    const ready = async () => (await fetch(`http://${address}/readyz`)).status
    const name = new URL(url).pathname.slice(1)
    const onServer = (text: string, parameters?: unknown[]) => query(inject('postgres').url, text, parameters)

    await onServer(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`)
    try {
      await onServer('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
      await eventually('the loss', async () => (await ready()) === 503)
      await sleep(7000)
      expect(running.log().match(/The sweep failed/g), 'said once, not at every try').toHaveLength(1)
    } finally {
      await onServer(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS true`)
    }
    await eventually('the return', async () => (await ready()) === 200)
    await Attempt.async(Probe).once('after the outage', 0)
    await effect('after the outage', running)
  })
})
