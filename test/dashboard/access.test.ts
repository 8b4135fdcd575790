import { asyncDashboard, type DashboardOptions } from '@async-gen/runtime/dashboard'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'

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
    ]
    for (const response of await Promise.all(refused)) expect(response.status).toBe(403)
  })
})

describe('authorize', () => {
  it('lets nobody in where it returns false, or nothing', async () => {
    for (const answer of [false, null, undefined]) {
      expect((await handler({ authorize: () => answer })(get())).status).toBe(403)
    }
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
