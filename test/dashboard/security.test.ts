import { AesGcmEncryptor, BaseAttempt, defineTargets } from '@async-gen/runtime'
import { asyncDashboard, type DashboardOptions } from '@async-gen/runtime/dashboard'
import { beforeAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { Client } from './client.js'
import { hostileRows } from './hostile.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

const encryptor = new AesGcmEncryptor({ key: Buffer.alloc(32, 7).toString('base64') } as never)
const OrderClient = { fulfill: async (_token: string) => {} }
class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: defineTargets(() => ({ OrderClient })),
  encryptors: [encryptor],
}) {}

const LIST = '/async/attempts/Attempt'
const clientOf = (options: Partial<DashboardOptions> = {}) =>
  new Client(asyncDashboard(db, { attempts: [Attempt], ...options }))
const recordFailed = async () => {
  const [row] = await query(
    url,
    `INSERT INTO attempts (target, method, status, completed_at) VALUES ('OrderClient', 'fulfill', 'failed', now()) RETURNING id`,
  )
  return String(row.id)
}
const statusOf = async (id: string) => (await query(url, 'SELECT status FROM attempts WHERE id = $1', [id]))[0].status

describe('a form', () => {
  const refused: [name: string, headers: Record<string, string>, fields: [string, string][]][] = [
    ['of another site', { 'sec-fetch-site': 'cross-site' }, []],
    ['of a subdomain', { 'sec-fetch-site': 'same-site' }, []],
    ['without its token', {}, [['csrf', '']]],
    ['with another token', {}, [['csrf', 'A'.repeat(32)]]],
    ['with a token of more bytes than letters', {}, [['csrf', 'é'.repeat(32)]]],
    ['without its cookie', { cookie: '' }, []],
    ['with a cookie that an attacker has set', { cookie: `async-gen-csrf=${'A'.repeat(32)}` }, []],
  ]
  it.each(refused)('%s changes nothing', async (_name, headers, fields) => {
    const client = clientOf()
    const id = await recordFailed()
    const { html } = await client.visit(`${LIST}/confirm?action=retry&id=${id}`)
    expect((await client.send(client.formOf(html, headers, fields))).status).toBe(403)
    expect(await statusOf(id)).toBe('failed')
    expect((await client.send(client.formOf(html))).status).toBe(303)
    expect(await statusOf(id)).toBe('pending')
  })

  it('of a browser without Sec-Fetch-Site is judged by its origin', async () => {
    const client = clientOf()
    const { html } = await client.visit(`${LIST}/confirm?action=retry&id=${await recordFailed()}`)
    const send = (origin?: string) => {
      const request = client.formOf(html, origin === undefined ? {} : { origin })
      request.headers.delete('sec-fetch-site')
      if (origin === undefined) request.headers.delete('origin')
      return client.send(request)
    }
    for (const origin of [undefined, 'null', 'https://attacker.example', 'http://localhost:3001']) {
      expect((await send(origin)).status, origin).toBe(403)
    }
    expect((await send('http://localhost:3000')).status).toBe(303)
  })

  it('is refused where it is too large, or encoded otherwise', async () => {
    const client = clientOf()
    const { html } = await client.visit(`${LIST}/confirm?action=retry&id=1`)
    expect((await client.send(client.formOf(html, {}, [['reason', 'x'.repeat(70_000)]]))).status).toBe(413)
    expect((await client.send(client.formOf(html, { 'content-type': 'text/plain' }))).status).toBe(400)
  })

  it('has a cookie that other sites cannot use, and no token in an address', async () => {
    const page = await clientOf().visit(`${LIST}/confirm?action=retry&id=1`)
    const cookie = page.headers.get('set-cookie')!
    expect(cookie).toMatch(/^async-gen-csrf=[\w-]{32}; Path=\/async; HttpOnly; SameSite=Strict$/)
    const secure = await asyncDashboard(db, { attempts: [Attempt], authorize: () => true })(
      new Request(`https://shop.example${LIST}/confirm?action=retry&id=1`),
    )
    expect(secure.headers.get('set-cookie')).toContain('; Secure')
    expect(page.html.match(/(href|action)="[^"]*csrf/)).toBeNull()
  })
})

describe('an id', () => {
  it('may be any that a column of type bigint can hold', async () => {
    const ids = ['9223372036854775807', '-9223372036854775808']
    await query(
      url,
      `INSERT INTO attempts (id, target, method, status, completed_at) SELECT id, 'OrderClient', 'fulfill', 'failed', now() FROM unnest($1::bigint[]) AS id`,
      [ids],
    )
    const client = clientOf()
    for (const id of ids) {
      expect((await client.visit(`${LIST}/${id}`)).text).toContain(`#${id}`)
      expect((await client.visit(`${LIST}?after=${id}`)).status).toBe(200)
      expect((await client.confirm(await client.visit(`${LIST}/confirm?action=retry&id=${id}`))).status).toBe(200)
      expect(await statusOf(id)).toBe('pending')
    }
    await query(url, 'DELETE FROM attempts WHERE id = ANY ($1)', [ids])
  })

  it('that no row can have is not found, and the page says what was looked for', async () => {
    for (const id of ['9223372036854775808', '-9223372036854775809', '9'.repeat(40), '1e3', '0x1', '%00']) {
      expect((await clientOf().visit(`${LIST}/${id}`)).text).toContain('There is no such attempt.')
      expect((await clientOf().visit(`/async/toasts/${id}`)).text).toContain('There is no such toast.')
      expect((await clientOf().visit(`${LIST}/confirm?action=retry&id=${id}`)).status).toBe(400)
      expect((await clientOf().visit(`${LIST}?after=${id}`)).status).toBe(400)
    }
  })

  it('counts once, however it is written and how often', async () => {
    const { text } = await clientOf().visit(`${LIST}/confirm?action=retry&id=7&id=07&id=7`)
    expect(text).toContain('Retry attempt 7?')
  })
})

describe('a user who may only look', () => {
  const client = clientOf({ authorize: () => ({ readOnly: true }) })

  it('sees no button', async () => {
    const id = await recordFailed()
    for (const path of [LIST, `${LIST}/${id}`, '/async/pauses']) {
      const { html } = await client.visit(path)
      expect(html, path).not.toMatch(/method="post"|\/confirm|>Retry</)
    }
  })

  it('can neither open the page that asks, nor send a form', async () => {
    const id = await recordFailed()
    expect((await client.visit(`${LIST}/confirm?action=retry&id=${id}`)).status).toBe(403)
    const { html } = await clientOf().visit(`${LIST}/confirm?action=retry&id=${id}`)
    expect((await client.send(client.formOf(html))).status).toBe(403)
    expect(await statusOf(id)).toBe('failed')
  })
})

describe('each response', () => {
  it('forbids inline code, frames, guessing of types and copies in caches', async () => {
    for (const path of ['/async', LIST, '/async/missing']) {
      const { headers, html } = await clientOf().visit(path)
      const policy = headers.get('content-security-policy')!
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:/)
    }
  })

  it('lets those frame it that the host names', async () => {
    const { headers } = await clientOf({ frameAncestors: ["'self'", 'https://admin.example'] }).visit('/async')
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'self' https://admin.example")
    expect(headers.get('x-frame-options')).toBeNull()
  })

  it('of a file may be kept, because its content is in its name', async () => {
    const client = clientOf()
    const { html } = await client.visit('/async')
    const [, name] = /href="([^"]+\.css)"/.exec(html)!
    const styles = await client.visit(name!)
    expect(styles.headers.get('content-type')).toContain('text/css')
    expect(styles.headers.get('cache-control')).toContain('immutable')
    expect((await client.visit('/async/assets/other.css')).status).toBe(404)
  })

  it('says nothing of an error of the host or of the database', async () => {
    const client = clientOf({ authorize: () => Promise.reject(new Error('password=hunter2')) })
    const { status, text } = await client.visit('/async')
    expect(status).toBe(500)
    expect(text).not.toContain('hunter2')
  })
})

describe('encrypted content', () => {
  const SECRET = 'tok_4242424242'
  let id: string

  beforeAll(async () => {
    const attempt = await Attempt.create({ target: OrderClient, method: 'fulfill', args: [SECRET], encryptor })
    id = String(attempt.id)
    OrderClient.fulfill = async (token) => {
      Attempt.current().progress(0.5, `paying ${token}`)
      throw new Error(`declined: ${token}`)
    }
    await (await Attempt.find(id))!.perform()
  })

  it('stays closed, in lists and on the page of the attempt', async () => {
    for (const path of [LIST, `${LIST}/${id}`, '/async', `${LIST}?argument=tok`, `${LIST}?error=declined`]) {
      const { html } = await clientOf().visit(path)
      expect(html, path).not.toContain(SECRET)
    }
    expect((await clientOf().visit(`${LIST}/${id}`)).text).toMatch(/Arguments Encrypted.*1 error .* Encrypted/)
  })

  it('is shown to those whom authorize lets decrypt it', async () => {
    const { text } = await clientOf({ authorize: () => ({ decrypt: true }) }).visit(`${LIST}/${id}`)
    expect(text).toContain(`"${SECRET}"`)
    expect(text).toContain(`declined: ${SECRET}`)
  })

  it('that does not decrypt is said to be so', async () => {
    await query(url, `UPDATE attempts SET errors = '[{"number": 1, "encrypted": "nonsense"}]' WHERE id = $1`, [id])
    const { status, text } = await clientOf({ authorize: () => ({ decrypt: true }) }).visit(`${LIST}/${id}`)
    expect(status).toBe(200)
    expect(text).toContain('Not decrypted:')
  })
})

describe('hostile rows', () => {
  let ids: string[]
  beforeAll(async () => {
    ids = await hostileRows(url)
  })

  it('break no page, and no page is large', async () => {
    const paths = [
      '/async',
      LIST,
      `${LIST}?status=failed`,
      `${LIST}?status=pending`,
      `${LIST}?status=running`,
      '/async/toasts',
      '/async/workers',
      '/async/pauses',
      '/async/schedules',
    ]
    const toasts = await query(url, 'SELECT id FROM toasts')
    for (const path of [
      ...paths,
      ...ids.map((id) => `${LIST}/${id}`),
      ...toasts.map(({ id }) => `/async/toasts/${id}`),
    ]) {
      const { status, html } = await clientOf().visit(path)
      expect(status, path).toBe(200)
      expect(html.length, path).toBeLessThan(500_000)
      expect(html, path).not.toMatch(/<script>|<img src="?x/i)
      expect(html, path).not.toMatch(/(?!\n)\p{Cc}|(?![\u200c\u200d])\p{Cf}/u)
    }
  })

  it('with numbers and times that have no sum and no difference break no overview', async () => {
    await query(
      url,
      `INSERT INTO toasts (name, key, elapsed) SELECT 'endless', number, number::float8 FROM unnest('{NaN,Infinity,-Infinity,1.7e308,1.6e308,-1.7e308}'::text[]) AS number`,
    )
    await query(
      url,
      `INSERT INTO attempts (target, method, status, started_at, completed_at) SELECT 'endless', 'run', 'succeeded', time::timestamptz, now() FROM unnest('{infinity,-infinity}'::text[]) AS time`,
    )
    for (const path of ['/async', '/async/toasts']) expect((await clientOf().visit(path)).status, path).toBe(200)
  })

  it('are cut before they reach this process', async () => {
    const [{ id }] = await query(url, 'SELECT id FROM attempts ORDER BY pg_column_size(args) DESC LIMIT 1')
    const { text } = await clientOf().visit(`${LIST}/${id}`)
    expect(text).toMatch(/The first 65\.5 kB of \d\.\d MB\./)
  })
})
