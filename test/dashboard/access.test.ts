import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { asyncDashboard, type DashboardOptions } from '@async-gen/runtime/dashboard'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { Client, linksOf, listedIds } from './client.js'

await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { Attempt } = await import('../.app/src/async/attempt.js')

const handler = (options: Partial<DashboardOptions> = {}) => asyncDashboard(db, { attempts: [Attempt], ...options })
const get = (url = 'http://localhost/async', headers: Record<string, string> = {}) => new Request(url, { headers })

afterEach(() => vi.unstubAllEnvs())

describe('without authorize, the dashboard', () => {
  it('is not made in production', () => {
    vi.stubEnv('NODE_ENV', 'production')
    expect(() => handler()).toThrow(expect.objectContaining({ code: 'NOT_AUTHORIZED' }))
    expect(() => handler({ authorize: () => true })).not.toThrow()
  })

  it('serves requests from this machine', async () => {
    const dashboard = handler()
    for (const host of ['localhost', '127.0.0.1:3000', '[::1]:3000']) {
      expect((await dashboard(get(`http://${host}/async`))).status, host).toBe(200)
    }
    expect((await dashboard(get(), { remoteAddress: '::ffff:127.0.0.1' })).status).toBe(200)
  })

  it('refuses other machines, other names of this machine, and what a proxy forwards', async () => {
    const dashboard = handler()
    const refused = [
      dashboard(get('http://intranet.example/async')),
      dashboard(get('http://localhost/async', { host: 'attacker.example' })),
      dashboard(get('http://localhost/async', { 'x-forwarded-for': '203.0.113.7' })),
      dashboard(get(), { remoteAddress: '192.168.1.7' }),
      ...['x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'via', 'x-real-ip', 'cf-connecting-ip'].map((header) =>
        dashboard(get('http://localhost/async', { [header]: '203.0.113.7' })),
      ),
    ]
    for (const response of await Promise.all(refused)) expect(response.status).toBe(403)
  })
})

describe('authorize', () => {
  it('lets nobody in where it returns false, nothing, or something that is no role', async () => {
    for (const answer of [false, null, undefined, '', 'ada', 0, 1, [], [{ id: 1 }], () => true]) {
      expect((await handler({ authorize: () => answer as never })(get())).status, String(answer)).toBe(403)
    }
  })

  it('may name the user by a string only', async () => {
    const name = { authorize: () => ({ user: { toString: () => 'ada' } }) as never }
    expect((await handler(name)(get())).status).toBe(500)
    expect((await handler({ authorize: () => ({ user: '<b>ada</b>' }) })(get())).status).toBe(200)
  })

  it('may send a response of its own, such as a redirect to the login', async () => {
    const login = new Response(null, { status: 302, headers: { location: '/login' } })
    expect(await handler({ authorize: async () => login })(get())).toBe(login)
  })

  it('lets somebody in from anywhere', async () => {
    const dashboard = handler({ authorize: () => ({ user: 'ada' }) })
    expect((await dashboard(get('https://shop.example/async'))).status).toBe(200)
  })
})

it('refuses options that do not exist, and values that are not valid', () => {
  const invalid = expect.objectContaining({ code: 'INVALID_OPTION' })
  expect(() => handler({ autorize: () => true } as object)).toThrow(expect.objectContaining({ code: 'UNKNOWN_OPTION' }))
  expect(() => handler({ basePath: '//evil.example' })).toThrow(invalid)
  expect(() => handler({ frameAncestors: ["'none'; script-src *"] })).toThrow(invalid)
})

describe('with several classes', () => {
  const called = { fulfill: async () => {} }
  const subclasses: Record<string, object> = {}
  const targets = defineTargets(() => ({ OrderClient: called }), { subclasses })
  class Calls extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
  class UrgentCalls extends Calls {}
  Object.assign(subclasses, { UrgentCalls })

  it('a subclass shows its own attempts only, and cannot pause those of the others', async () => {
    const other = await Calls.async(called).fulfill()
    const urgent = await UrgentCalls.async(called).fulfill()
    const client = new Client(asyncDashboard(db, { attempts: [UrgentCalls] }))
    expect(listedIds(await client.visit('/async/attempts/UrgentCalls'))).toEqual([String(urgent.id)])
    expect((await client.visit(`/async/attempts/UrgentCalls/${other.id}`)).status).toBe(404)
    const asked = await client.visit(`/async/attempts/UrgentCalls/confirm?action=cancel&id=${other.id}`)
    expect((await client.confirm(asked)).status).toBe(404)
    expect((await Calls.find(other.id))!.isPending).toBe(true)
    expect((await client.visit('/async/attempts/UrgentCalls/confirm?action=cancel&all=1')).text).toContain(
      'Cancel 1 attempt?',
    )
    expect((await client.visit('/async/pauses/confirm?action=pause&model=Attempt')).status).toBe(404)
  })

  it('each has a page, and the overview has numbers of each', async () => {
    const client = new Client(asyncDashboard(db, { attempts: [Attempt, Calls], basePath: '/' }))
    expect((await client.visit('/')).text).toMatch(/Attempt Due \d.*Calls Due \d/)
    expect((await client.visit('/?class=Calls')).text).toContain('Throughput of Calls')
    expect(linksOf(await client.visit('/attempts/Calls'), 'Attempt')).toContain('/attempts/Attempt')
  })
})
