import { BaseAttempt, connect, defineTargets, hasToast, sweep } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')

const schema = 'my shop'
const options = '-c search_path="my\\ shop"' // for raw SQL, which the adapter leaves as it is
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, options }, { schema }) })
const db = connect(prisma, { connectionString: `${url}?schema=${encodeURIComponent(schema)}` })
const Mail = { send: async (to: string) => `sent to ${to}` }
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Mail }) }) {}

beforeAll(async () => {
  await query(url, 'ALTER SCHEMA public RENAME TO "my shop"')
  await query(url, 'CREATE SCHEMA public')
})
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

it('the tables are found in the schema that the URL names (`?schema=`)', async () => {
  const attempt = await Attempt.async(Mail).send('Ada')
  await attempt.perform()
  expect(attempt.result).toBe('sent to Ada')
  expect(await prisma.attempt.count({ where: { status: 'succeeded' } })).toBe(1)

  const oat = await prisma.oat.create({ data: { name: 'steel-cut' } })
  const breakfast = hasToast(db, 'oat', 'breakfast', { compute: async ({ name }) => ({ name }) })
  await breakfast(oat)
  await refreshNow(db, breakfast, oat)
  expect(await breakfast(oat)).toMatchObject({ name: 'steel-cut' })
  await sweep(db)
})

it('A1: a call is recorded in a transaction there', async () => {
  const { id } = await prisma.$transaction(async (tx) => await Attempt.async(Mail, { tx }).send('Eve'))
  expect(await Attempt.find(id)).toMatchObject({ status: 'pending' })
})
