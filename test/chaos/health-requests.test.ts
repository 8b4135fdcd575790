import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serveHealth } from '../../runtime/src/worker/health.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { compiled } from '../support/programs.js'
import { childEnv } from '../support/run.js'
import type { WorkerProcess } from '../support/worker.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { effect, release, sql, worker } from './scene.js'

describe('the health server of a worker', () => {
  it.each([
    ['GET // HTTP/1.1', 400],
    ['GET //[ HTTP/1.1', 400],
    ['GET http://:99999/livez HTTP/1.1', 400],
    ['GET /livez?a=b HTTP/1.1', 200],
    ['HEAD /livez HTTP/1.1', 200],
    ['GET http://worker/livez HTTP/1.1', 200],
    ['GET /nothing HTTP/1.1', 404],
    ['POST /livez HTTP/1.1', 405],
    ['OPTIONS * HTTP/1.1', 405],
    ['GET /livez HTTP/1.1\r\nX: '.padEnd(20_000, 'x'), 431],
    ['BREW /livez HTTP/1.1', 400],
    ['PRI * HTTP/2.0', 400],
  ])('answers %j with %j', async (line, status) => {
    const port = await served({})
    const answer = await exchange(port, `${line}\r\nHost: x\r\n\r\n`)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    if (status === 405) expect(answer).toContain('\r\nallow: GET, HEAD\r\n')
    if (line.startsWith('HEAD')) expect(answer).toMatch(/content-length: 3\r\n(.+\r\n)*\r\n$/)
  })

  it('answers 503 within seconds while a check hangs, fails or throws, and checks again later', async () => {
    let asked = 0
    const port = await served({
      unready: async () => {
        asked++
        if (asked === 1) await new Promise(() => {})
        return undefined
      },
      metrics: () => {
        throw Symbol('odd')
      },
    })
    const began = performance.now()
    const answers = await Promise.all([get(port, '/readyz'), get(port, '/readyz')])
    expect(answers).toEqual([
      { status: 503, body: 'The check has not ended within 2.5 s.\n' },
      { status: 503, body: 'The check has not ended within 2.5 s.\n' },
    ])
    expect(performance.now() - began).toBeLessThan(10_000)
    expect(asked, 'requests at the same time share a check').toBe(1)
    expect(await get(port, '/readyz')).toEqual({ status: 200, body: 'ok\n' })
    expect(await get(port, '/metrics')).toEqual({ status: 503, body: 'Symbol(odd)\n' })
  })

  it('closes connections that send nothing, or send slowly', async () => {
    const port = await served({})
    const silent = exchange(port, '')
    const slow = exchange(port, 'GET /livez HTTP/1.1\r\nHost: x\r\nA: ', { every: ['a', 500] })
    const body = exchange(port, 'POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n', { every: ['a', 500] })
    expect(await silent).toMatch(/^$|^HTTP\/1.1 408 /)
    expect(await slow).toMatch(/^HTTP\/1.1 408 /)
    expect(await body).toMatch(/^HTTP\/1.1 405 /)
  })

  it('continues when there is no file descriptor left for a connection', async () => {
    const server = `
      import { serveHealth } from ${JSON.stringify(compiled('runtime/src/worker/health.ts'))}
      const checks = { unready: async () => undefined, metrics: async () => '' }
      console.log((await serveHealth({ host: '127.0.0.1', port: 0 }, checks)).port)
      setInterval(() => {}, 1000)`
    const args = ['-c', 'ulimit -n 64 && exec "$@"', '--', process.execPath, '--input-type=module', '-e']
    const child = spawn('bash', [...args, server], { cwd: REPOSITORY, env: childEnv() })
    onTestFinished(() => void child.kill('SIGKILL'))
    const port = Number((await once(child.stdout, 'data'))[0])
    const many = Array.from({ length: 100 }, () => connect({ port, host: '127.0.0.1' }).on('error', () => {}))
    // The connections that it cannot hold it closes.
    await Promise.race(many.map((socket) => once(socket, 'close')))
    for (const socket of many) socket.destroy()
    await eventually('an answer', async () => (await get(port, '/livez').catch(() => undefined))?.status === 200)
    expect(child.exitCode).toBeNull()
  })
})

describe('a worker', () => {
  it('survives any bytes, methods and targets at its health port', async () => {
    const running = await worker({ ASYNC_WORKER_HEALTH: '0' })
    const port = await portOf(running)
    const target = fc.oneof(
      fc.uint8Array({ maxLength: 10 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.webUrl(),
      fc.constantFrom(
        '//',
        '///',
        '/%',
        '*',
        '/..',
        '\\\\',
        '//[::',
        'http://',
        '/livez',
        '/readyz',
        '/metrics',
        '//x:y@z:1',
      ),
    )
    const method = fc.oneof(
      fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'PURGE'),
      fc.string(),
    )
    const header = fc.oneof(
      fc.tuple(fc.string(), fc.string()).map(([name, value]) => `${name}: ${value}`),
      fc.constantFrom(
        'Upgrade: websocket\r\nConnection: Upgrade',
        'Expect: 100-continue',
        'Expect: nothing',
        'Transfer-Encoding: chunked',
        'Content-Length: -1',
        'Content-Length: 5',
        `X: ${'x'.repeat(20_000)}`,
      ),
    )
    const request = fc
      .tuple(
        method,
        target,
        fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', ''),
        fc.array(header, { maxLength: 3 }),
      )
      .map(([method, target, version, headers]) =>
        Buffer.from(`${[`${method} ${target} ${version}`, 'Host: x', ...headers].join('\r\n')}\r\n\r\n`),
      )
    const bytes = fc.oneof(
      request,
      request,
      fc.uint8Array({ maxLength: 200 }).map(Buffer.from),
      fc.array(request).map(Buffer.concat),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, { minLength: 20, maxLength: 20 }), async (all) => {
        const answers = await Promise.all(all.map((each) => exchange(port, each, { end: true })))
        for (const answer of answers) expect(answer).toMatch(/^$|^HTTP\/1.1 (100|200|400|404|405|408|413|417|431|503) /)
      }),
      { numRuns: 20 },
    )
    expect((await get(port, '/livez')).status).toBe(200)
    await Attempt.async(Probe).once('done', 0)
    await effect('done', running)
    expect(running.log()).not.toMatch(/^ +at /m)
  })

  it('ends with --once although a client has sent an incomplete request', async () => {
    await Attempt.async(Probe).heed('held')
    const running = await worker({ ASYNC_WORKER_HEALTH: '0', ASYNC_WORKER_ONCE: '1' })
    const port = await portOf(running)
    await effect('held began')
    const half = exchange(port, 'GET /livez HTTP/1.1\r\nHost: ')
    await release()
    expect(await running.exited).toBe(0)
    expect(await half, 'it was closed, not waited for').toBe('')
  })

  it('ends before it takes a job when the port of its health endpoints is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    await Attempt.async(Probe).once('never', 0)
    const running = await worker({ ASYNC_WORKER_HEALTH: String(port) }, { visible: false })
    expect(await running.exited).toBe(1)
    expect(running.log()).toContain(`cannot listen at 127.0.0.1:${port}: listen EADDRINUSE`)
    expect(running.log()).toContain('"code":"HEALTH_NOT_SERVED"')
    expect(await sql('SELECT status, num_attempts FROM attempts')).toEqual([{ status: 'pending', num_attempts: 0 }])
  })
})

async function served(checks: Partial<Parameters<typeof serveHealth>[1]>): Promise<number> {
  const all = { unready: async () => undefined, metrics: async () => '', ...checks }
  const { port, close } = await serveHealth({ host: '127.0.0.1', port: 0 }, all)
  onTestFinished(close)
  return port
}

async function portOf(running: WorkerProcess): Promise<number> {
  return Number(await eventually('the port', async () => /"health":"127\.0\.0\.1:(\d+)"/.exec(running.log())?.[1]))
}

async function get(port: number, path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  return { status: response.status, body: await response.text() }
}

/** Sends bytes, and returns what came back once the server has closed the connection. */
function exchange(
  port: number,
  bytes: string | Buffer,
  { end = false, every }: { end?: boolean; every?: [text: string, milliseconds: number] } = {},
): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = connect({ port, host: '127.0.0.1' })
    const timer = every && setInterval(() => socket.write(every[0]), every[1])
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text
    })
    // A connection that is closed while it is written to is an answer, too.
    socket.on('error', () => {})
    socket.once('close', () => {
      clearInterval(timer)
      resolve(received)
    })
    if (end) socket.end(bytes)
    else socket.write(bytes)
  })
}
