import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { bundled } from '../support/programs.js'
import { childEnv, run } from '../support/run.js'
import { Attempt, encryptor } from './host/attempt.js'
import { db } from './host/database.js'
import { Probe } from './host/targets.js'
import { url } from './scene.js'

const BIN = bundled('runtime/src/bin/async-gen-worker.ts')
const HOST = bundled('test/chaos/host/worker.ts')

const args = (...flags: string[]) => [BIN, 'dashboard', ...flags]
const env = { DATABASE_URL: url }

async function start(...flags: string[]) {
  const command = spawn(process.execPath, args(HOST, '--port', '0', ...flags), { cwd: REPOSITORY, env: childEnv(env) })
  onTestFinished(() => void command.kill('SIGKILL'))
  let output = ''
  for (const stream of [command.stdout, command.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text))
  const exited = once(command, 'exit')
  const origin = await eventually('the URL', async () => {
    if (command.exitCode !== null) throw new Error(output)
    return /http:\/\/127\.0\.0\.1:\d+(?=\/async)/.exec(output)?.[0]
  })
  const stop = async (signal: NodeJS.Signals) => {
    command.kill(signal)
    const [code] = await exited
    return { code, lastLine: output.trimEnd().split('\n').at(-1) }
  }
  return { origin, stop }
}

async function statusWith(origin: string, host: string): Promise<number> {
  const [response] = await once(get(`${origin}/async`, { headers: { host }, agent: false }), 'response')
  response.resume()
  return response.statusCode
}

afterAll(async () => await db.close())

describe('async-gen-worker dashboard', () => {
  it('serves the dashboard of the classes beside the worker, until Ctrl-C', async () => {
    const { origin, stop } = await start()
    const page = await fetch(origin)
    expect([page.status, page.url]).toEqual([200, `${origin}/async`])
    const html = await page.text()
    expect(html).toContain('Attempt')
    expect(html).toContain('/async/reports')
    expect(await stop('SIGINT')).toEqual({ code: 0, lastLine: 'The dashboard has stopped: it got the signal SIGINT.' })
  })

  it('shows encrypted content with --decrypt, and still refuses requests that name another host', async () => {
    const { id } = await Attempt.create({ target: Probe, method: 'plain', args: ['card 4111'], encryptor })
    const shown = async (origin: string) => await (await fetch(`${origin}/async/attempts/Attempt/${id}`)).text()
    const closed = await start()
    expect(await shown(closed.origin)).not.toContain('4111')
    await closed.stop('SIGINT')
    const open = await start('--decrypt')
    expect(await shown(open.origin)).toContain('4111')
    expect(await statusWith(open.origin, 'dashboard.example')).toBe(403)
    await open.stop('SIGINT')
  })

  it('ends at SIGTERM, although a browser keeps its connection open', async () => {
    const { origin, stop } = await start()
    const socket = connect(Number(new URL(origin).port), '127.0.0.1')
    await once(socket, 'connect')
    expect(await stop('SIGTERM')).toEqual({
      code: 0,
      lastLine: 'The dashboard has stopped: it got the signal SIGTERM.',
    })
    socket.destroy()
  })

  it('listens on this machine only, and refuses requests that name another host', async () => {
    const { origin, stop } = await start()
    expect(await statusWith(origin, 'localhost')).toBe(200)
    expect(await statusWith(origin, 'dashboard.example')).toBe(403)
    const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
    for (const { address } of addresses.filter(({ internal, family }) => !internal && family === 'IPv4')) {
      const socket = connect(Number(new URL(origin).port), address)
      await expect(once(socket, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    }
    await stop('SIGINT')
  })

  it('refuses to run in production, at a port that is in use, and with another port than a number', async () => {
    const refused = async (flags: string[], more = {}) =>
      await run(REPOSITORY, process.execPath, args(HOST, ...flags), { env: { ...env, ...more }, exitCodes: [1, 2] })
    const production = await refused([], { NODE_ENV: 'production' })
    expect(production).toMatchObject({ code: 1, stderr: expect.stringContaining('npx async-gen dashboard') })
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const taken = await refused(['--port', `${port}`])
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining(`Choose another port: --port ${port + 1}`) })
    server.close()
    expect(await refused(['--port', 'x'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--port is "x"') })
  })
})
