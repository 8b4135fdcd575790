import { once } from 'node:events'
import { type AddressInfo, connect as connectTo, createServer } from 'node:net'
import { connect } from '@async-gen/runtime'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { presenceOf, releasePresence } from '../../runtime/src/presence/presence.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')

const closing: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function databaseAt(connectionString: string) {
  const db = connect(prisma, { connectionString })
  closing.push(() => db.close())
  const setting = async (name: string): Promise<string> => {
    const statement = { name: 'setting', text: 'SELECT current_setting($1, true) AS value' }
    return (await db.query<{ value: string }>(statement, [name]))[0]!.value
  }
  return { db, setting }
}

const withOptions = (options: string, base = url) => `${base}?options=${encodeURIComponent(options)}`

/** The URL of a pooler that answers connections whose startup message matches with an error, and lets all others through. */
async function poolerThatRefuses(refused: RegExp, code: string, message: string) {
  const { hostname, port } = new URL(url)
  const seen: string[] = []
  const server = createServer((client) => {
    client.once('data', (startup) => {
      const text = startup.toString('latin1')
      seen.push(text)
      if (!refused.test(text)) {
        const postgres = connectTo(Number(port), hostname)
        for (const socket of [client, postgres]) socket.on('error', () => {})
        postgres.write(startup)
        client.pipe(postgres).pipe(client)
        return
      }
      const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`)
      const head = Buffer.from([0x45, 0, 0, 0, 0])
      head.writeInt32BE(fields.length + 4, 1)
      client.end(Buffer.concat([head, fields]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => server.close())
  const pooled = new URL(url)
  pooled.port = String((server.address() as AddressInfo).port)
  return { url: pooled.href, seen }
}

describe("the runtime's connections", () => {
  it("keep the options that the URL names, and add the runtime's own", async () => {
    const { setting } = databaseAt(withOptions('-c application_name=shop -c work_mem=7MB', `${url}`))
    expect(await setting('application_name')).toBe('shop')
    expect(await setting('work_mem')).toBe('7MB')
    expect(await setting('idle_in_transaction_session_timeout')).toBe('10min')
  })

  it('override options of the URL that the runtime cannot work with', async () => {
    const { setting } = databaseAt(withOptions('-c TimeZone=Asia/Tokyo -c default_transaction_isolation=serializable'))
    expect(await setting('TimeZone')).toBe('UTC')
    expect(await setting('default_transaction_isolation')).toBe('read committed')
  })

  it('keep the settings of PGOPTIONS', async () => {
    process.env.PGOPTIONS = '-c work_mem=9MB'
    try {
      const { setting } = databaseAt(url)
      expect(await setting('work_mem')).toBe('9MB')
      expect(await setting('TimeZone')).toBe('UTC')
    } finally {
      delete process.env.PGOPTIONS
    }
  })

  it('do not change the settings of a pool of the host, except in transactions of the runtime', async () => {
    const { Pool } = await import('pg')
    const pool = new Pool({
      connectionString: withOptions('-c TimeZone=Asia/Tokyo -c default_transaction_isolation=serializable'),
    })
    closing.push(() => pool.end())
    const db = connect(prisma, { pool })
    const isolation = { name: 'isolation', text: `SELECT current_setting('transaction_isolation') AS value` }
    expect(await db.query(isolation, [])).toEqual([{ value: 'serializable' }])
    expect(await db.transaction((send) => send(isolation, []))).toEqual([{ value: 'read committed' }])
  })
})

describe('a pooler', () => {
  it.each([
    ['08P01', 'unsupported startup parameter: options'],
    ['08P01', 'unsupported startup parameter in options: default_transaction_isolation'],
    ['0A000', "Feature not supported: RDS Proxy currently doesn't support command-line options."],
  ])('that rejects startup options (%s, %s) gets none, after one try', async (code, message) => {
    const pooler = await poolerThatRefuses(/\0options\0/, code, message)
    const { db, setting } = databaseAt(pooler.url)
    expect(await Promise.all([1, 2, 3].map(() => setting('idle_in_transaction_session_timeout')))).toEqual([
      '0',
      '0',
      '0',
    ])
    const refusals = pooler.seen.filter((startup) => startup.includes('\0options\0')).length
    expect(refusals).toBeLessThanOrEqual(3)
    db.dropConnections()
    await setting('TimeZone')
    expect(pooler.seen.filter((startup) => startup.includes('\0options\0'))).toHaveLength(refusals)
  })

  it('that rejects startup options does not prevent a presence', async () => {
    const pooler = await poolerThatRefuses(/\0options\0/, '08P01', 'unsupported startup parameter: options')
    const { db } = databaseAt(pooler.url)
    closing.push(() => releasePresence(db))
    expect(await presenceOf(db)).toMatchObject({ id: expect.any(Number) })
  })

  it('that rejects a connection for another reason is not tried again', async () => {
    const pooler = await poolerThatRefuses(/./, '28P01', 'password authentication failed')
    await expect(databaseAt(pooler.url).setting('TimeZone')).rejects.toThrow('password authentication failed')
    expect(pooler.seen).toHaveLength(1)
  })
})

it('PostgreSQL before 17 gets all settings but transaction_timeout, which it does not know', async () => {
  const message = 'unrecognized configuration parameter "transaction_timeout"'
  const before17 = await poolerThatRefuses(/transaction_timeout=/, '42704', message)
  const { setting } = databaseAt(before17.url)
  expect(await setting('TimeZone')).toBe('UTC')
  expect(await setting('idle_in_transaction_session_timeout')).toBe('10min')
  expect(before17.seen).toHaveLength(2)
})

it("Prisma's schema is added to a search_path without it, for a worker's session too", async () => {
  const name = new URL(url).pathname.slice(1)
  await query(url, 'CREATE SCHEMA other')
  await query(inject('postgres').url, `ALTER DATABASE "${name}" SET search_path = 'other'`)
  const { db, setting } = databaseAt(url)
  closing.push(() => releasePresence(db))
  expect(await presenceOf(db)).toMatchObject({ id: expect.any(Number) })
  expect(await Promise.all([1, 2, 3].map(() => setting('search_path')))).toEqual(Array(3).fill('other,public'))
})
