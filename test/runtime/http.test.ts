import 'reflect-metadata'
import { once } from 'node:events'
import { createServer, get, request as httpRequest, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { toNodeHandler } from '@async-gen/runtime/http'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import express from 'express'
import fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'

/** What the handler has seen of the clients. */
const seen = { cancelled: 0, aborted: 0, chunks: 0 }

const CHUNK = new Uint8Array(64 * 1024)
const HOW_MANY = 1000

/** Answers all that the tests ask for. */
async function handler(request: Request, { remoteAddress }: { remoteAddress?: string | undefined }): Promise<Response> {
  const { pathname, search } = new URL(request.url)
  request.signal.addEventListener('abort', () => seen.aborted++)
  switch (pathname) {
    case '/async/echo':
      return Response.json({
        url: pathname + search,
        method: request.method,
        body: request.method === 'POST' ? await request.text() : null,
        host: request.headers.get('host'),
        remoteAddress,
      })
    case '/async/form':
      return Response.json([...(await request.formData())])
    case '/async/redirect':
      return new Response(null, {
        status: 303,
        headers: [
          ['location', '/async/echo'],
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
        ],
      })
    case '/async/events':
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\n')),
          cancel: () => void seen.cancelled++,
        }),
        { headers: { 'content-type': 'text/event-stream' } },
      )
    case '/async/large':
      seen.chunks = 0
      return new Response(
        new ReadableStream(
          {
            pull(controller) {
              if (seen.chunks++ < HOW_MANY) controller.enqueue(CHUNK)
              else controller.close()
            },
          },
          { highWaterMark: 0 },
        ),
      )
    default:
      throw new Error(`no page ${pathname}`)
  }
}

type Listening = { server: Server; close: () => Promise<unknown> }

class AppModule {}
Module({})(AppModule)

const expressApp = () => {
  const app = express()
  app.get('/', (_, response) => void response.send('home'))
  return app
}
const listen = async (server: Server): Promise<Listening> => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { server, close: async () => await once(server.close(), 'close') }
}

/** How a host mounts the handler under /async. */
const MOUNTS: Record<string, () => Promise<Listening>> = {
  'http of Node': async () => await listen(createServer(toNodeHandler(handler))),
  Express: async () => await listen(createServer(expressApp().use('/async', toNodeHandler(handler)))),
  'Express, after its parsers of bodies': async () =>
    await listen(
      createServer(
        expressApp()
          .use(express.json(), express.urlencoded({ extended: true }), express.text())
          .use('/async', toNodeHandler(handler)),
      ),
    ),
  Fastify: async () => {
    const app = fastify({ forceCloseConnections: true })
    const node = toNodeHandler(handler)
    app.register(async (scope) => {
      scope.removeAllContentTypeParsers()
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
      scope.all('/async/*', (request, reply) => {
        reply.hijack()
        node(request.raw, reply.raw)
      })
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { server: app.server, close: async () => await app.close() }
  },
  'NestJS on Express': async () => {
    const app = await NestFactory.create(AppModule, { logger: false, forceCloseConnections: true })
    app.use('/async', toNodeHandler(handler))
    await app.listen(0, '127.0.0.1')
    return { server: app.getHttpServer(), close: async () => await app.close() }
  },
  'NestJS on Fastify': async () => {
    const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: false })
    app.use('/async', toNodeHandler(handler))
    await app.listen(0, '127.0.0.1')
    return { server: app.getHttpServer(), close: async () => await app.close() }
  },
}

describe.each(Object.entries(MOUNTS))('toNodeHandler in %s', (_name, mount) => {
  let listening: Listening
  let port: number
  let origin: string

  beforeAll(async () => {
    listening = await mount()
    port = (listening.server.address() as AddressInfo).port
    origin = `http://127.0.0.1:${port}`
  })
  afterAll(async () => {
    listening.server.closeAllConnections()
    await listening.close()
  })

  it('gives the handler the whole path, the query, the method, the headers and the address', async () => {
    const response = await fetch(`${origin}/async/echo?a=1&b=%2F`)
    expect(await response.json()).toEqual({
      url: '/async/echo?a=1&b=%2F',
      method: 'GET',
      body: null,
      host: `127.0.0.1:${port}`,
      remoteAddress: '127.0.0.1',
    })
  })

  it('gives the handler the body, of whatever type', async () => {
    for (const [type, body] of [
      ['text/plain', 'hello'],
      ['application/json', '{"a":[1,"ä"]}'],
      ['application/x-other', 'ä'.repeat(100_000)],
    ] as const) {
      const response = await fetch(`${origin}/async/echo`, { method: 'POST', headers: { 'content-type': type }, body })
      expect(await response.json()).toMatchObject({ body })
    }
  })

  it('gives the handler the fields of a form, also those that are there twice', async () => {
    const fields: [string, string][] = [
      ['id', '1'],
      ['id', '2'],
      ['reason', 'a & b = ä'],
    ]
    const body = new URLSearchParams(fields)
    expect(await (await fetch(`${origin}/async/form`, { method: 'POST', body })).json()).toEqual(fields)
  })

  it('sends status, location and each cookie', async () => {
    const response = await fetch(`${origin}/async/redirect`, { redirect: 'manual' })
    expect(response.status).toBe(303)
    expect(response.headers.get('location')).toBe('/async/echo')
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
  })

  it('answers HEAD without a body', async () => {
    const response = await fetch(`${origin}/async/echo`, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
    const events = await fetch(`${origin}/async/events`, { method: 'HEAD' })
    expect([events.headers.get('content-type'), await events.text()]).toEqual(['text/event-stream', ''])
  })

  it('sends each chunk when it is there, and ends the stream when the client goes away', async () => {
    const before = { ...seen }
    const stop = new AbortController()
    const response = await fetch(`${origin}/async/events`, { signal: stop.signal })
    const reader = response.body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: 1\n\n')
    stop.abort()
    await reader.closed.catch(() => {})
    await eventually('the end of the stream', async () => seen.cancelled === before.cancelled + 1)
    expect(seen.aborted).toBe(before.aborted + 1)
  })

  it('makes no more chunks than a slow client takes', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /async/large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    await eventually('the first chunk', async () => seen.chunks > 0)
    let before = -1
    await eventually('a stop', async () => {
      const stands = seen.chunks === before
      before = seen.chunks
      await sleep(100)
      return stands
    })
    expect(seen.chunks).toBeLessThan(HOW_MANY / 2)
    socket.resume()
    await once(socket, 'close')
    expect(seen.chunks).toBe(HOW_MANY + 1)
  })

  it('answers 500 after an error, logs it, and says nothing of it to the client', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {})
    const response = await fetch(`${origin}/async/nothing?secret=1`)
    expect([response.status, await response.text()]).toEqual([500, 'Internal Server Error\n'])
    expect(log.mock.calls).toEqual([
      ['GET /async/nothing failed:', expect.objectContaining({ message: 'no page /async/nothing' })],
    ])
    log.mockRestore()
  })

  it('survives requests with odd targets and hosts', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {})
    for (const [path, host] of [
      ['//', 'x'],
      ['/async/%', 'x'],
      ['/async/echo', 'a b@c:99999'],
      ['/async/echo', '__proto__'],
    ]) {
      const asked = httpRequest({ port, path, headers: { host }, agent: false })
      const [response] = await once(asked.end(), 'response')
      await text(response)
      expect(response.statusCode).toBeLessThan(600)
    }
    log.mockRestore()
    const [alive] = await once(get({ port, path: '/async/echo', agent: false }), 'response')
    expect(alive.statusCode).toBe(200)
    alive.resume()
  })
})
