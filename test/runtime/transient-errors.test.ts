import { setTimeout as sleep } from 'node:timers/promises'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasNotCommitted, isSerializationFailure, isTransient } from '../../runtime/src/core/transient-errors.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { prisma } = await import('../.app/src/db.js')
const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')

type Client = typeof prisma
type Tx = Parameters<Parameters<Client['$transaction']>[0]>[0]

const thrownBy = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    () => undefined,
    (error: unknown) => error,
  )

/** What two transactions throw that have both read what the other one writes. */
async function conflictOf(write: (tx: Tx, id: number) => PromiseLike<unknown>): Promise<unknown[]> {
  let arrived = 0
  let open = () => {}
  const both = new Promise<void>((resolve) => {
    open = resolve
  })
  const run = (id: number) =>
    prisma.$transaction(
      async (tx) => {
        await tx.newsletter.findMany()
        if (++arrived === 2) open()
        await both
        await write(tx, id)
      },
      { isolationLevel: 'Serializable' },
    )
  const ended = await Promise.allSettled([run(1), run(2)])
  return ended.filter((each) => each.status === 'rejected').map(({ reason }) => reason)
}

beforeAll(async () => {
  await prisma.newsletter.createMany({ data: [{ subject: 'one' }, { subject: 'two' }] })
})
afterAll(() => prisma.$disconnect())

describe('isSerializationFailure recognises', () => {
  it.each<[string, (tx: Tx, id: number) => PromiseLike<unknown>]>([
    [
      'a conflict that a query of the model API meets',
      (tx) => tx.newsletter.update({ where: { id: 1 }, data: { subject: 'new' } }),
    ],
    ['one that raw SQL meets', (tx) => tx.$queryRawUnsafe(`UPDATE "Newsletter" SET subject = 'raw' WHERE id = 1`)],
    ['one that the COMMIT meets', (tx, id) => tx.newsletter.update({ where: { id }, data: { subject: 'skewed' } })],
  ])('%s', async (_, write) => {
    const thrown = await conflictOf(write)
    expect(thrown).toHaveLength(1)
    expect(isSerializationFailure(thrown[0])).toBe(true)
    expect(isSerializationFailure(new Error('the transfer failed', { cause: thrown[0] }))).toBe(true)
    expect(hasNotCommitted(thrown[0])).toBe(true)
  })

  it('an error of pg', async () => {
    const deadlock = Object.assign(new Error('deadlock detected'), { code: '40P01' })
    expect(isSerializationFailure(deadlock)).toBe(true)
  })

  it('nothing else', async () => {
    const duplicate = await thrownBy(query(url, 'INSERT INTO "Newsletter" VALUES (1, $1)', ['again']))
    const circle = new Error('a circle')
    circle.cause = circle
    const mute = new Proxy(
      {},
      {
        get: () => {
          throw new Error('no')
        },
      },
    )
    for (const other of [duplicate, circle, mute, undefined, null, '40001', { code: 40001 }]) {
      expect(isSerializationFailure(other)).toBe(false)
      expect(isTransient(other)).toBe(false)
    }
  })
})

describe('a transient error', () => {
  const inTransaction = async (setting: string, statement: string) =>
    await thrownBy(
      prisma.$transaction(async (tx) => {
        await tx.$executeRawUnsafe(setting)
        await tx.$queryRawUnsafe(statement)
      }),
    )

  it('proves that nothing was committed, for certain codes', async () => {
    const certain = [
      await inTransaction('SET LOCAL statement_timeout = 50', 'SELECT pg_sleep(5)::text'),
      await inTransaction('SET TRANSACTION READ ONLY', 'INSERT INTO "Newsletter" (subject) VALUES (1)'),
      await thrownBy(new pg.Client({ connectionString: 'postgres://nobody@127.0.0.1:1/nothing' }).connect()),
      await thrownBy(
        new PrismaClient({
          adapter: new PrismaPg({ connectionString: 'postgres://nobody@127.0.0.1:1/nothing' }),
        }).newsletter.count(),
      ),
    ]
    for (const error of certain) expect([isTransient(error), hasNotCommitted(error)]).toEqual([true, true])
  })

  it('does not prove it after a lost connection', async () => {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
    const running = thrownBy(client.query('SELECT pg_sleep(5)'))
    await sleep(50)
    await query(url, 'SELECT pg_terminate_backend($1)', [rows[0].pid])
    const terminated = await running
    const afterwards = await thrownBy(client.query('SELECT 1'))
    for (const error of [terminated, afterwards])
      expect([isTransient(error), hasNotCommitted(error)]).toEqual([true, false])
  })
})
