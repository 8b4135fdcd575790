import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AesGcmEncryptor, BaseAttempt, defineTargets, hasToast, type ToastComputation } from '@async-gen/runtime'
import { asyncEvents, type EventsSubject, type LiveState, type SignableRow, signedId } from '@async-gen/runtime/events'
import { nodeRequestOf, toNodeHandler } from '@async-gen/runtime/http'
import fastify from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { attemptsTable } from '../../runtime/src/events/tables.js'
import { watchedRowsOf } from '../../runtime/src/events/watched-rows.js'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { db } from '../.app/src/async/database.js'
import { Report } from '../.app/src/async/report.js'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const secret = 'a secret of the test, long enough for it'
const encryptor = new AesGcmEncryptor({ first: Buffer.alloc(32, 7).toString('base64') })

let hold = gate()
const Import = {
  half: async () => {
    Attempt.current().progress(0.5, 'half')
    await hold.opened
    return { imported: 3, at: new Date(0) }
  },
  fail: async () => {
    throw new TypeError('no answer')
  },
  card: async () => ({ card: '4111' }),
  nothing: async () => {},
}
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets({ Import }),
  encryptors: [encryptor],
}) {}
class Sales extends Report<{ month: string }> {
  override async build({ progress }: ToastComputation) {
    progress(0.25, 'reading')
    await hold.opened
    return { total: 42 }
  }
}
const menu = hasToast(db, 'oat', 'menu', { compute: async () => ['oat', 'rye'] })

const handler = asyncEvents(db, { authorize: () => true, attempts: [Attempt], secret })
const idOf = (row: SignableRow) => signedId(row, { secret })
const request = (id: string, init?: RequestInit) =>
  new Request(`http://localhost/events?id=${encodeURIComponent(id)}`, init)

beforeAll(() => vi.stubEnv('ASYNC_GEN_SECRET', ''))
afterEach(async () => {
  hold.open()
  hold = gate()
  await eventually('no client', async () => watchedRowsOf(db).size === 0)
  await rows('TRUNCATE attempts, toasts, reports, "Oat", graphile_worker._private_jobs CASCADE')
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await db.close()
  await prisma.$disconnect()
})

interface ReceivedEvent {
  id: string
  state: LiveState
}

/** The events of a response, one by one. */
async function* eventsOf({ body }: Response): AsyncGenerator<ReceivedEvent> {
  let text = ''
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const { id, data } = fieldsOf(text.slice(0, end))
      text = text.slice(end + 2)
      if (data !== undefined) yield { id: id!, state: JSON.parse(data) }
    }
  }
}

function fieldsOf(block: string): Record<string, string> {
  return Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2)))
}

async function statesOf(response: Response): Promise<LiveState[]> {
  const states: LiveState[] = []
  for await (const { state } of eventsOf(response)) states.push(state)
  return states
}

describe('asyncEvents', () => {
  it('sends the state of an attempt at once, then each change, and ends with the attempt', async () => {
    const attempt = await Attempt.async(Import).half()
    const response = await handler(request(idOf(attempt)))
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-store, no-transform')
    const events = eventsOf(response)
    const next = async () => (await events.next()).value?.state
    expect(await next()).toEqual({ status: 'pending', finished: false, progress: null, progressMessage: null })
    const performing = Attempt.perform(attempt.id)
    let state = await next()
    if (state.progress === null) state = await next()
    expect(state).toEqual({ status: 'running', finished: false, progress: 0.5, progressMessage: 'half' })
    hold.open()
    await performing
    expect(await next()).toEqual({
      status: 'succeeded',
      finished: true,
      progress: 0.5,
      progressMessage: 'half',
      result: { imported: 3, at: '1970-01-01T00:00:00.000Z' },
    })
    expect(await events.next()).toMatchObject({ done: true })
  })

  it('sends the error of a failed run without its stack', async () => {
    const attempt = await Attempt.create({ target: Import, method: 'fail', args: [], maxAttempts: 1 })
    await Attempt.perform(attempt.id)
    expect(await statesOf(await handler(request(idOf(attempt))))).toEqual([
      {
        status: 'failed',
        finished: true,
        progress: null,
        progressMessage: null,
        error: { name: 'TypeError', message: 'no answer' },
      },
    ])
  })

  it('sees changes by plain SQL', async () => {
    const attempt = await Attempt.async(Import).nothing()
    const events = eventsOf(await handler(request(idOf(attempt))))
    await events.next()
    await rows(`UPDATE attempts SET status = 'cancelled', completed_at = now()`)
    expect((await events.next()).value.state).toMatchObject({ status: 'cancelled', finished: true })
    expect(await events.next()).toMatchObject({ done: true })
  })

  it('ends at once if the row was deleted before, and waits for a toast that nobody has read yet', async () => {
    const attempt = await Attempt.async(Import).nothing()
    await rows('DELETE FROM attempts')
    expect(await statesOf(await handler(request(idOf(attempt))))).toMatchObject([{ status: 'gone', finished: true }])
    const oat = await prisma.oat.create({ data: { name: 'Avena' } })
    const events = eventsOf(await handler(request(signedId(menu, oat, { secret }))))
    expect((await events.next()).value.state).toMatchObject({ status: 'pending', finished: false })
    await menu(oat)
    await refreshToast(db, { name: 'oat.menu', key: `${oat.id}` })
    const states = []
    for await (const { state } of events) states.push(state)
    expect(states.at(-1)).toMatchObject({ status: 'succeeded', finished: true, result: ['oat', 'rye'] })
  })

  it('ends when the row is deleted', async () => {
    const attempt = await Attempt.async(Import).nothing()
    const events = eventsOf(await handler(request(idOf(attempt))))
    await events.next()
    await rows('DELETE FROM attempts')
    expect((await events.next()).value.state).toMatchObject({ status: 'gone', finished: true })
    expect(await events.next()).toMatchObject({ done: true })
  })

  it('sends the progress and the value of a report', async () => {
    const report = await Sales.create({ month: 'May' })
    const subjects: EventsSubject[] = []
    const authorize = (_: Request, subject: EventsSubject) => subjects.push(subject) > 0
    const events = eventsOf(await asyncEvents(db, { authorize, secret })(request(idOf(report))))
    const next = async () => (await events.next()).value?.state
    expect(subjects).toEqual([{ kind: 'report', type: 'Sales', id: `${report.id}`, name: 'Sales.build' }])
    expect(await next()).toMatchObject({ status: 'pending', finished: false })
    await report.build()
    const refreshing = refreshToast(db, { name: 'Sales.build', key: `${report.id}` })
    let state = await next()
    while (state.progress === null) state = await next()
    expect(state).toEqual({ status: 'running', finished: false, progress: 0.25, progressMessage: 'reading' })
    hold.open()
    await refreshing
    expect(await next()).toMatchObject({ status: 'succeeded', finished: true, result: { total: 42 } })
    expect(await events.next()).toMatchObject({ done: true })
  })

  it('sends the value of a toast by its parent', async () => {
    const oat = await prisma.oat.create({ data: { name: 'Avena' } })
    await menu(oat)
    await refreshToast(db, { name: 'oat.menu', key: `${oat.id}` })
    const id = signedId(menu, oat, { secret })
    expect(await statesOf(await handler(request(id)))).toMatchObject([
      { status: 'succeeded', finished: true, result: ['oat', 'rye'] },
    ])
  })

  it('sends encrypted content only if authorize returns decrypt: true', async () => {
    const attempt = await Attempt.create({ target: Import, method: 'card', args: [], encryptor })
    await Attempt.perform(attempt.id)
    const decrypting = asyncEvents(db, { authorize: () => ({ decrypt: true }), attempts: [Attempt], secret })
    const readable = asyncEvents(db, { authorize: () => ({}), attempts: [Attempt], secret })
    const id = idOf(attempt)
    const [hidden] = await statesOf(await readable(request(id)))
    expect(hidden).toEqual({
      status: 'succeeded',
      finished: true,
      progress: null,
      progressMessage: null,
      encrypted: true,
    })
    expect((await statesOf(await decrypting(request(id))))[0]).toMatchObject({ result: { card: '4111' } })
  })

  it('hides encrypted errors and messages of progress too', async () => {
    const attempt = await Attempt.create({ target: Import, method: 'fail', args: [], encryptor, maxAttempts: 1 })
    await Attempt.perform(attempt.id)
    expect(JSON.stringify(await statesOf(await handler(request(idOf(attempt)))))).not.toContain('no answer')
    const running = await Attempt.create({ target: Import, method: 'half', args: [], encryptor })
    const performing = Attempt.perform(running.id)
    await eventually('progress', async () => (await running.reload()).progress === 0.5)
    const { value } = await eventsOf(await handler(request(idOf(running)))).next()
    expect(value.state).toMatchObject({ status: 'running', progress: 0.5, progressMessage: null, encrypted: true })
    hold.open()
    await performing
  })

  it('sends every attempt of a table with rows that were written by hand', async () => {
    const [first, second, third] = await Attempt.createMany([
      { target: Import, method: 'nothing', args: [] },
      { target: Import, method: 'nothing', args: [] },
      { target: Import, method: 'nothing', args: [] },
    ])
    const depth = 5000
    await rows(`UPDATE attempts SET status = 'failed', errors = '["text", 7]' WHERE id = $1`, [first!.id])
    await rows(`UPDATE attempts SET status = 'failed', errors = '{}' WHERE id = $1`, [second!.id])
    await rows(`UPDATE attempts SET status = 'succeeded', result = $2 WHERE id = $1`, [
      third!.id,
      `${'['.repeat(depth)}${']'.repeat(depth)}`,
    ])
    const all = await Promise.all(
      [first!, second!, third!].map(async (each) => statesOf(await handler(request(idOf(each))))),
    )
    expect(all.map(([state]) => state!.status)).toEqual(['failed', 'failed', 'succeeded'])
  })
})

describe('an error of one row', () => {
  it('of an encryptor of the host closes its content, and keeps no event from other clients', async () => {
    const failing = {
      name: 'failing',
      encrypt: (content: string) => content,
      decrypt: (): string => {
        throw new Error('no key')
      },
    }
    class Failing extends BaseAttempt(db, {
      model: 'Attempt',
      table: 'attempts',
      targets: defineTargets({ Import }),
      encryptors: [failing],
    }) {}
    const [sealed, plain] = await Promise.all([
      Failing.create({ target: Import, method: 'nothing', args: [], encryptor: failing }),
      Failing.async(Import).nothing(),
    ])
    await rows(`UPDATE attempts SET status = 'succeeded', result = '"secret"'`)
    const decrypting = asyncEvents(db, { authorize: () => ({ decrypt: true }), attempts: [Failing], secret })
    const streams = await Promise.all([sealed, plain].map((row) => decrypting(request(idOf(row)))))
    const [first, second] = (await Promise.all(streams.map(statesOf))).map(([state]) => state)
    expect(first).toMatchObject({ status: 'succeeded', encrypted: true })
    expect(first).not.toHaveProperty('result')
    expect(second).toMatchObject({ status: 'succeeded', result: 'secret' })
  })

  it('or of a listener is a warning, and the other listeners get theirs', async () => {
    const attempt = await Attempt.async(Import).nothing()
    const table = attemptsTable(Attempt.store.table)
    const warned = once(process, 'warning')
    const unwatch: (() => void)[] = []
    const got = new Promise((resolve) => {
      for (const listener of [() => fail('cannot be sent'), resolve])
        unwatch.push(watchedRowsOf(db).watch(table, `${attempt.id}`, listener))
    })
    expect(await got).toMatchObject({ key: `${attempt.id}` })
    expect((await warned)[0]).toMatchObject({ code: 'EVENT_NOT_SENT' })
    for (const end of unwatch) end()
  })
})

function fail(message: string): never {
  throw new Error(message)
}

it('decrypts a row once for all clients that follow it, and keeps it closed to the others', async () => {
  const decrypt = vi.spyOn(encryptor, 'decrypt')
  const attempt = await Attempt.create({ target: Import, method: 'card', args: [], encryptor })
  await Attempt.perform(attempt.id)
  let asked = 0
  const mixed = asyncEvents(db, { authorize: () => ({ decrypt: asked++ % 2 === 0 }), attempts: [Attempt], secret })
  decrypt.mockClear()
  const streams = await Promise.all(Array.from({ length: 20 }, () => mixed(request(idOf(attempt)))))
  const states = (await Promise.all(streams.map(statesOf))).map(([state]) => state!)
  expect(states.map(({ encrypted }) => encrypted)).toEqual(states.map((_, i) => (i % 2 === 0 ? undefined : true)))
  expect(states[0]).toMatchObject({ result: { card: '4111' } })
  expect(JSON.stringify(states[1])).not.toContain('4111')
  expect(decrypt).toHaveBeenCalledTimes(1)
  decrypt.mockRestore()
})

describe('a client that connects again', () => {
  it('gets no event that it has, and the next change', async () => {
    const attempt = await Attempt.async(Import).nothing()
    const id = idOf(attempt)
    const first = eventsOf(await handler(request(id)))
    const { value } = await first.next()
    await first.return(undefined)
    const again = eventsOf(await handler(request(id, { headers: { 'last-event-id': value.id } })))
    const next = again.next()
    await new Promise((resolve) => setTimeout(resolve, 600))
    await attempt.cancel()
    expect((await next).value.state).toMatchObject({ status: 'cancelled' })
    expect(await again.next()).toMatchObject({ done: true })
  })

  it('is told to stop with status 204 after the last event', async () => {
    const attempt = await Attempt.async(Import).nothing()
    await attempt.cancel()
    const id = idOf(attempt)
    const { value } = await eventsOf(await handler(request(id))).next()
    const again = await handler(request(id, { headers: { 'last-event-id': value.id } }))
    expect(again.status).toBe(204)
  })

  it('is told how soon, and hears a heartbeat while nothing changes', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const attempt = await Attempt.async(Import).nothing()
      const reader = (await handler(request(idOf(attempt)))).body!.pipeThrough(new TextDecoderStream()).getReader()
      expect(await reader.read()).toEqual({ done: false, value: 'retry: 2000\n\n' })
      expect((await reader.read()).value).toContain('data: {"status":"pending"')
      const heartbeat = reader.read()
      vi.advanceTimersByTime(15_000)
      expect(await heartbeat).toEqual({ done: false, value: ': heartbeat\n\n' })
      await reader.cancel()
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a signed id', () => {
  const attempt = async () => await Attempt.async(Import).nothing()

  it('is refused if it was changed, or signed with another secret or for another purpose', async () => {
    const id = idOf(await attempt())
    const [payload, signature] = id.split('.')
    const other = Buffer.from(JSON.stringify([Date.now() + 60_000, 'attempt', 'Attempt', '2'])).toString('base64url')
    const plain = createHmac('sha256', secret).update(payload!).digest('base64url')
    const foreign = signedId(await attempt(), { secret: 'another secret, which is long enough too' })
    for (const wrong of [
      '',
      'x',
      '.',
      `${payload}`,
      `${other}.${signature}`,
      `${payload}.${plain}`,
      `${id}.x`,
      `${id}==`,
      `${id} `,
      foreign,
    ]) {
      expect((await handler(request(wrong))).status, wrong).toBe(wrong === '' ? 400 : 403)
    }
  })

  it('that is missing gets status 400, and a text that names the parameter', async () => {
    for (const address of ['http://localhost/events', 'http://localhost/events?id=', 'http://localhost/events?ID=x']) {
      const response = await handler(new Request(address))
      expect([response.status, await response.text()]).toEqual([
        400,
        'The parameter id is missing. It is what signedId returns: ?id=…\n',
      ])
    }
  })

  it('expires: a client gets status 410, and an open stream ends', async () => {
    const row = await attempt()
    const open = await handler(request(signedId(row, { secret, expiresIn: '1s' })))
    expect(await statesOf(open)).toHaveLength(1)
    expect((await handler(request(signedId(row, { secret, expiresIn: 0 })))).status).toBe(410)
  })

  it('needs a secret of 32 characters, as an option or in ASYNC_GEN_SECRET', async () => {
    const row = await attempt()
    const code = (run: () => unknown) => expect(run)
    code(() => signedId(row)).toThrow('signedId: The secret is missing. Set ASYNC_GEN_SECRET')
    code(() => asyncEvents(db, { authorize: () => true })).toThrow('asyncEvents: The secret is missing.')
    code(() => signedId(row, { secret: 'short' })).toThrow('The secret has 5 characters, and needs 32')
    vi.stubEnv('ASYNC_GEN_SECRET', secret)
    const fromEnvironment = asyncEvents(db, { authorize: () => true, attempts: [Attempt] })
    vi.stubEnv('ASYNC_GEN_SECRET', '')
    await (await fromEnvironment(request(idOf(row)))).body!.cancel()
  })
})

describe('authorize', () => {
  it('is required, gets the request and what the id names, and decides', async () => {
    expect(() => asyncEvents(db, { secret } as never)).toThrow('asyncEvents needs the option `authorize`')
    const attempt = await Attempt.async(Import).nothing()
    const seen: unknown[] = []
    const answers = [false, new Response('sign in', { status: 401 }), Promise.resolve(false)]
    const deciding = asyncEvents(db, {
      authorize: (given, subject) => {
        seen.push([given.headers.get('cookie'), subject])
        return answers.shift()!
      },
      attempts: [Attempt],
      secret,
    })
    const get = async () => (await deciding(request(idOf(attempt), { headers: { cookie: 'session=1' } }))).status
    expect([await get(), await get(), await get()]).toEqual([403, 401, 403])
    expect(seen[0]).toEqual(['session=1', { kind: 'attempt', model: 'Attempt', id: `${attempt.id}` }])
  })

  it('refuses where its answer is no role, and passes a Response of any class on', async () => {
    const id = idOf(await Attempt.async(Import).nothing())
    const get = async (answer: unknown) =>
      await asyncEvents(db, { authorize: () => answer as never, attempts: [Attempt], secret })(request(id))
    for (const answer of [null, undefined, '', 'ada', 1, [], () => true]) expect((await get(answer)).status).toBe(403)
    const foreign = { status: 401, headers: new Headers(), body: null }
    expect(await get(foreign)).toBe(foreign)
  })

  it('is not asked for other methods, nor for an id that is not valid', async () => {
    const authorize = vi.fn(() => true)
    const asked = asyncEvents(db, { authorize, secret })
    expect((await asked(request('x'))).status).toBe(403)
    expect((await asked(request('x', { method: 'POST' }))).status).toBe(405)
    expect(authorize).not.toHaveBeenCalled()
  })

  it('is followed by status 500 for a class that is not listed. The log says which one', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {})
    const attempt = await Attempt.async(Import).nothing()
    const response = await asyncEvents(db, { authorize: () => true, secret })(request(idOf(attempt)))
    expect([response.status, await response.text()]).toEqual([
      500,
      'This server does not follow attempts of the model "Attempt". The log of the server says why.\n',
    ])
    expect(log.mock.calls.flat().join()).toContain('the model "Attempt", which the option `attempts` does not list')
    log.mockRestore()
  })

  it('knows what a middleware has added to the request of Node', async () => {
    const attempt = await Attempt.async(Import).nothing()
    const users: unknown[] = []
    const authorize = (given: Request) => users.push(nodeRequestOf<{ user: string }>(given)?.user) < 0
    const listener = toNodeHandler(asyncEvents(db, { authorize, attempts: [Attempt], secret }))
    const server = createServer((req, res) => listener(Object.assign(req, { user: 'ada' }), res)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    expect((await fetch(`http://127.0.0.1:${port}/events?id=${idOf(attempt)}`)).status).toBe(403)
    expect(users).toEqual(['ada'])
    expect(nodeRequestOf(request('x'))).toBeUndefined()
    await once(server.close(), 'close')
  })
})

describe('a process that stops', () => {
  const openHandler = () => asyncEvents(db, { authorize: () => true, attempts: [Attempt], secret })
  const follow = async (origin: string) => {
    const events = eventsOf(await fetch(`${origin}/events?id=${idOf(await Attempt.async(Import).nothing())}`))
    expect((await events.next()).value.state).toMatchObject({ status: 'pending' })
    return events
  }

  it('closes its server of Node at once when events.close() has ended the streams', async () => {
    const events = openHandler()
    const server = createServer(toNodeHandler(events)).listen(0, '127.0.0.1')
    // Longer than the test may take: connections must not wait until they are idle for so long.
    server.keepAliveTimeout = 600_000
    await once(server, 'listening')
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const streams = [await follow(origin), await follow(origin)]
    events.close()
    const closed = new Promise((resolve) => server.close(resolve))
    for (const stream of streams) expect(await stream.next()).toMatchObject({ done: true })
    await closed
    expect(watchedRowsOf(db).size).toBe(0)
  })

  it('closes Fastify in a hook preClose', async () => {
    const events = openHandler()
    const listener = toNodeHandler(events)
    const app = fastify()
    app.get('/events', (given, reply) => {
      reply.hijack()
      listener(given.raw, reply.raw)
    })
    app.addHook('preClose', async () => events.close())
    const stream = await follow(await app.listen({ port: 0, host: '127.0.0.1' }))
    await app.close()
    expect(await stream.next()).toMatchObject({ done: true })
  })

  it('ends the streams when the database is closed, and opens no new connection for them', async () => {
    const stream = eventsOf(await openHandler()(request(idOf(await Attempt.async(Import).nothing()))))
    await stream.next()
    await db.close()
    expect(await stream.next()).toMatchObject({ done: true })
    const query = vi.spyOn(db, 'query')
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(query).not.toHaveBeenCalled()
    query.mockRestore()
  })

  it('answers a client that connects again with a stream that ends at once, so that the client tries again', async () => {
    const events = openHandler()
    const open = await events(request(idOf(await Attempt.async(Import).nothing())))
    events.close()
    expect(await open.text()).toBe('')
    const response = await events(request('x'))
    expect(response.headers.get('connection')).toBe('close')
    expect([response.status, await response.text()]).toEqual([200, 'retry: 2000\n\n'])
  })
})

describe('many clients', () => {
  const serve = async (): Promise<[Server, number]> => {
    const server = createServer(toNodeHandler(handler)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return [server, (server.address() as AddressInfo).port]
  }

  it('that follow the same and other rows cost one statement for each read, and nothing when they are gone', async () => {
    const send = vi.spyOn(db, 'query')
    const attempts = await Attempt.createMany(
      Array.from({ length: 20 }, () => ({ target: Import, method: 'nothing' as const, args: [] })),
    )
    const ids = [...attempts, ...attempts].map(idOf)
    send.mockClear()
    const streams = await Promise.all(ids.map(async (id) => eventsOf(await handler(request(id)))))
    await Promise.all(streams.map((events) => events.next()))
    expect(send.mock.calls.length).toBeLessThanOrEqual(3)
    await Promise.all(streams.map((events) => events.return(undefined)))
    await new Promise((resolve) => setTimeout(resolve, 300))
    send.mockClear()
    await new Promise((resolve) => setTimeout(resolve, 800))
    expect(send).not.toHaveBeenCalled()
    send.mockRestore()
  })

  it('may vanish without a word, before the response or later: 1,000 of them leave nothing behind', async () => {
    const attempts = await Attempt.createMany(
      Array.from({ length: 1000 }, () => ({ target: Import, method: 'nothing' as const, args: [] })),
    )
    const [server, port] = await serve()
    const clients: IncomingMessage[] = []
    const errors: Error[] = []
    for (const [i, attempt] of attempts.entries()) {
      // Some vanish at any moment between the connection and the first event.
      const isHasty = i % 4 === 0
      const client = get({ port, path: `/?id=${idOf(attempt)}`, agent: false }, (response) => {
        response.resume()
        if (!isHasty) clients.push(response)
      })
      client.on('error', (error) => void (isHasty || errors.push(error)))
      if (isHasty) setTimeout(() => client.destroy(), i / 2)
    }
    await eventually('the other clients', async () => {
      if (errors[0]) throw errors[0]
      return clients.length === 750 && watchedRowsOf(db).size === 750
    })
    for (const client of clients) client.socket.resetAndDestroy()
    await eventually('no client', async () => watchedRowsOf(db).size === 0)
    server.closeAllConnections()
    await once(server.close(), 'close')
  })

  it('keep their streams while the database cannot be read, and get the change afterwards', async () => {
    const attempt = await Attempt.async(Import).nothing()
    const events = eventsOf(await handler(request(idOf(attempt))))
    await events.next()
    const warned = once(process, 'warning')
    const { query } = db
    db.query = async () => {
      throw new Error('the connection was closed')
    }
    const [warning] = await warned
    expect(warning).toMatchObject({ code: 'EVENTS_NOT_READ' })
    db.query = query
    await attempt.cancel()
    expect((await events.next()).value.state).toMatchObject({ status: 'cancelled' })
    expect(await events.next()).toMatchObject({ done: true })
  })
})
