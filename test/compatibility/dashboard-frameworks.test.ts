import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../dashboard/client.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { APP, asyncGen, REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { childEnv, run } from '../support/run.js'

const url = await testDatabase()

/** The application around the emitted mount: what its author writes. It prints its name and its port. */
const SERVERS: Record<string, string> = {
  http: `
import { createServer } from 'node:http'
import { dashboardListener } from './async/dashboard.js'

const server = createServer((request, response) => {
  if (request.url?.startsWith('/async')) return dashboardListener(request, response)
  response.end('home')
})
server.listen(0, '127.0.0.1', () => console.log('http', (server.address() as { port: number }).port))
`,
  express: `
import express from 'express'
import { mountDashboard } from './async/dashboard.js'

const app = express()
app.use(express.urlencoded({ extended: true }))
app.get('/', (_request, response) => void response.send('home'))
mountDashboard(app)
const server = app.listen(0, '127.0.0.1', () => console.log('express', (server.address() as { port: number }).port))
`,
  fastify: `
import fastify from 'fastify'
import { dashboardPlugin } from './async/dashboard.js'

const app = fastify()
app.get('/', async () => 'home')
app.register(dashboardPlugin)
await app.listen({ port: 0, host: '127.0.0.1' })
console.log('fastify', (app.server.address() as { port: number }).port)
`,
  // Hono's own adapter for Node is another package. Its fetch handler runs in ours.
  hono: `
import { createServer } from 'node:http'
import { toNodeHandler } from '@async-gen/runtime/http'
import { Hono } from 'hono'
import { dashboardApp } from './async/dashboard.js'

const app = new Hono()
app.get('/', (context) => context.text('home'))
app.route('/async', dashboardApp)
// As @hono/node-server passes them.
const bindingsOf = ({ remoteAddress }: { remoteAddress?: string | undefined }) => ({ incoming: { socket: { remoteAddress } } })
const server = createServer(toNodeHandler((request, connection) => app.fetch(request, bindingsOf(connection))))
server.listen(0, '127.0.0.1', () => console.log('hono', (server.address() as { port: number }).port))
`,
  nestjs: `
import 'reflect-metadata'
import { Controller, Get, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { mountDashboard } from './async/dashboard.js'

class HomeController {
  home() {
    return 'home'
  }
}
Controller()(HomeController)
Get()(HomeController.prototype, 'home', Object.getOwnPropertyDescriptor(HomeController.prototype, 'home')!)
class AppModule {}
Module({ controllers: [HomeController] })(AppModule)

const app = await NestFactory.create(AppModule, { logger: false })
mountDashboard(app)
await app.listen(0, '127.0.0.1')
console.log('nestjs', app.getHttpServer().address().port)
`,
}

const FRAMEWORKS = Object.keys(SERVERS)

/** What create-next-app and the guide for Next.js write. */
const NEXT_FILES: Record<string, string> = {
  'src/app/page.tsx': 'export default function Home() {\n  return <main>home</main>\n}\n',
  'src/app/layout.tsx': `
import type { ReactNode } from 'react'

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  )
}
`,
  'src/app/order/route.ts': `
import { signedId } from '@async-gen/runtime/events'
import { Attempt } from '@/async/attempt'
import { OrderClient } from '@/lib/order-client'

export async function POST() {
  const attempt = await Attempt.async(OrderClient).fulfill({ orderNumber: 1 })
  return new Response(signedId(attempt))
}
`,
  'src/app/events/route.ts': `
import { asyncEvents } from '@async-gen/runtime/events'
import { Attempt } from '@/async/attempt'
import { db } from '@/async/database'

const events = asyncEvents(db, { attempts: [Attempt], authorize: () => true })

export const GET = (request: Request) => events(request)
`,
  'src/lib/prisma.ts': `
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from '@/generated/prisma/client'

export const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) })
`,
}

/** The list of the calls, in place of the empty one that the command writes. */
const NEXT_TARGETS = `
import { defineTargets } from '@async-gen/runtime'
import { OrderClient } from '../lib/order-client'

export const targets = defineTargets(() => ({ OrderClient }))
`

const folders: string[] = []
const servers: ChildProcess[] = []
afterAll(() => {
  for (const server of servers) server.kill()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A folder in the repository, where an application finds its packages. */
function newFolder(framework: string): string {
  const dir = `${APP}-dashboard-${framework}-${process.pid}`
  folders.push(dir)
  return dir
}

function write(dir: string, files: Record<string, string>) {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
}

/**
 * For each framework a copy of test/.app with the mount as the command emits it. All are in one folder, so that one compiler run checks
 * them, and one process serves them.
 */
async function applications(): Promise<string> {
  const dir = newFolder('frameworks')
  for (const framework of FRAMEWORKS) {
    cpSync(APP, join(dir, framework), { recursive: true })
    await asyncGen(join(dir, framework), ['dashboard', '--framework', framework, '--yes'])
    write(join(dir, framework), { 'src/server.ts': SERVERS[framework]! })
  }
  const imports = FRAMEWORKS.map((framework) => `await import('./${framework}/src/server.js')\n`)
  write(dir, {
    'package.json': '{ "type": "module" }',
    'tsconfig.json': JSON.stringify({ extends: join(APP, 'tsconfig.json'), include: ['*.ts', '*/src'] }),
    'servers.ts': `${imports.join('')}export {}\n`,
  })
  return dir
}

/** An application of Next.js, which async-gen recognizes by its package.json. */
async function nextApp(): Promise<string> {
  const dir = newFolder('next')
  const host = join(REPOSITORY, 'test/docs/host')
  cpSync(join(host, 'nextjs'), dir, { recursive: true })
  for (const file of ['next.d.ts', 'prelude.ts', 'targets.ts']) rmSync(join(dir, file))
  write(dir, { ...NEXT_FILES, 'prisma/schema.prisma': readFileSync(join(host, 'schema.prisma'), 'utf8') })
  // The repository ends here, for a formatter: Biome would be started for each file. For Next.js, its packages would end here too.
  mkdirSync(join(dir, '.git'))
  for (const generator of ['install', 'attempt', 'dashboard']) await asyncGen(dir, [generator, '--yes'])
  rmSync(join(dir, '.git'), { recursive: true })
  write(dir, { 'src/async/targets.ts': NEXT_TARGETS })
  await prisma(dir, ['generate'])
  return dir
}

interface Served {
  origin: string
  log: () => string
  stop: () => Promise<void>
}

async function serve(dir: string, args: string[], port: RegExp, env: Record<string, string> = {}): Promise<Served> {
  const server = spawn(process.execPath, args, {
    cwd: dir,
    env: childEnv({ DATABASE_URL: url, ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  servers.push(server)
  let log = ''
  for (const stream of [server.stdout, server.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text))
  const exited = once(server, 'exit')
  const found = await eventually(`the server of ${dir}`, async () => {
    if (server.exitCode !== null) throw new Error(`The server ended with ${server.exitCode}:\n${log}`)
    return port.exec(log)
  })
  const stop = async () => {
    // `next dev` has a child, which it ends only if it is told to stop.
    server.kill()
    await exited
  }
  return { origin: `http://127.0.0.1:${found[1]}`, log: () => log, stop }
}

/** What a browser does with the dashboard. */
async function expectDashboard({ origin, log }: Omit<Served, 'stop'>) {
  const page = await fetch(`${origin}/async`)
  const html = await page.text()
  expect(page.status, `${html}\n${log()}`).toBe(200)
  expect(page.headers.get('content-type')).toContain('text/html')
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  const assets = [...html.matchAll(/(?:href|src)="(\/async\/assets\/[^"]+)"/g)].map(([, path]) => path)
  expect(assets.length).toBeGreaterThan(0)
  for (const path of assets) expect((await fetch(`${origin}${path}`)).status, path).toBe(200)
  expect((await fetch(`${origin}/async/nothing`)).status).toBe(404)
  expect(await (await fetch(origin)).text()).toContain('home')
  expect(await statusAs('attacker.example', origin)).toBe(403)
  await expectAction({ origin })
}

/** What a page of another site gets, whose name leads to this machine. */
async function statusAs(host: string, origin: string): Promise<number | undefined> {
  const [response] = await once(get(`${origin}/async`, { headers: { host } }), 'response')
  response.resume()
  return response.statusCode
}

/** A user retries an attempt that has failed: a form, with its cookie and its token. */
async function expectAction({ origin }: Pick<Served, 'origin'>) {
  const [row] = await query(url, FAILED)
  const client = new Client(async (request) => {
    const { pathname, search } = new URL(request.url)
    const body = request.method === 'POST' ? await request.text() : null
    const { method, headers } = request
    return await fetch(`${origin}${pathname}${search}`, { method, headers, body, redirect: 'manual' })
  })
  const asked = await client.visit(`/async/attempts/Attempt/confirm?action=retry&id=${row!.id}`)
  expect((await client.confirm(asked)).text).toContain('1 attempt retried.')
  expect(await query(url, 'SELECT status FROM attempts WHERE id = $1', [row!.id])).toEqual([{ status: 'pending' }])
  const forged = client.formOf(asked.html, {}, [['csrf', 'x'.repeat(32)]])
  expect((await client.send(forged)).status).toBe(403)
}

const FAILED = `
  INSERT INTO attempts (target, method, status, completed_at) VALUES ('OrderClient', 'fulfill', 'failed', now())
  RETURNING id::text`

/** A page records a call, and follows it with the id that it got. */
async function expectLiveState({ origin }: Served) {
  const id = await (await fetch(`${origin}/order`, { method: 'POST' })).text()
  const response = await fetch(`${origin}/events?id=${id}`)
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  let received = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    received += chunk
    if (!received.includes('"status":"cancelled"') && received.includes('"status":"pending"'))
      await query(url, `UPDATE attempts SET status = 'cancelled', completed_at = now() WHERE status = 'pending'`)
  }
  expect(received).toContain('"status":"cancelled","finished":true')
}

async function whileServing(serving: Promise<Served>, use: (served: Served) => Promise<void>) {
  const served = await serving
  try {
    await use(served)
  } finally {
    await served.stop()
  }
}

async function expectRefusal({ origin }: Served) {
  expect((await fetch(`${origin}/async`)).status).toBe(403)
  expect(await (await fetch(origin)).text()).toContain('home')
}

describe('the mount for', () => {
  const args = ['--import', 'tsx', 'servers.ts']
  const started = new RegExp(FRAMEWORKS.map((name) => `(?=[^]*^${name} \\d+$)`).join(''), 'm')
  let dir: string

  beforeAll(async () => {
    dir = await applications()
  })

  it('each framework compiles', async () => {
    const types = join(REPOSITORY, 'node_modules/typescript/bin/tsc')
    await run(dir, process.execPath, [types, '--noEmit', '--pretty', 'false', '--singleThreaded'])
  })

  describe('each framework', () => {
    let development: Served
    let production: Served

    beforeAll(async () => {
      development = await serve(dir, args, started)
      production = await serve(dir, args, started, { NODE_ENV: 'production' })
    })
    afterAll(async () => {
      await development?.stop()
      await production?.stop()
    })

    it.each(FRAMEWORKS)('%s shows the dashboard in development and takes its forms', async (framework) => {
      await expectDashboard(serverOf(framework, development))
    })

    it.each(FRAMEWORKS)('%s refuses everybody in production', async (framework) => {
      await expectRefusal(serverOf(framework, production))
    })
  })
})

function serverOf(framework: string, served: Served): Served {
  const [, port] = new RegExp(`^${framework} (\\d+)$`, 'm').exec(served.log())!
  return { ...served, origin: `http://127.0.0.1:${port}` }
}

describe('the mount for next', () => {
  const next = join(REPOSITORY, 'node_modules/next/dist/bin/next')
  const env = { NEXT_TELEMETRY_DISABLED: '1', DATABASE_URL: url, ASYNC_GEN_SECRET: 'x'.repeat(32) }
  const serveNext = (command: string) =>
    serve(dir, [next, command, '-p', '0', '-H', '127.0.0.1'], /http:\/\/127\.0\.0\.1:(\d+)/, env)
  let dir: string

  beforeAll(async () => {
    dir = await nextApp()
  })

  it('is a route handler. In development it shows the dashboard, beside one of events', async () => {
    await whileServing(serveNext('dev'), async (served) => {
      await expectDashboard(served)
      await expectLiveState(served)
    })
  }, 600_000)

  it('compiles. In production it refuses everybody, beside a route handler of events', async () => {
    await run(dir, process.execPath, [next, 'build'], { env })
    await whileServing(serveNext('start'), async (served) => {
      await expectRefusal(served)
      await expectLiveState(served)
    })
  }, 600_000)
})
