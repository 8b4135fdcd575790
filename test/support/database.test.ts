import { expect, inject, it } from 'vitest'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from './database.js'
import { databaseUrl, query } from './postgres.js'

const url = await testDatabase()

it('a test file has a database of its own, which the application in test/.app is connected to', async () => {
  await prisma.order.create({ data: { number: 1 } })
  expect(await query(url, 'SELECT number FROM "Order"')).toEqual([{ number: 1 }])
})

it('the database is migrated: what was generated is there, and what Graphile Worker needs', async () => {
  const tables = await query(
    url,
    `SELECT table_schema || '.' || table_name AS name FROM information_schema.tables WHERE table_type = 'BASE TABLE'`,
  )
  expect(tables.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['public.attempts', 'public.toasts', 'public.reports', 'graphile_worker._private_jobs']),
  )
})

it('asking twice gives the same database, and the template is left as it was', async () => {
  expect(await testDatabase()).toBe(url)
  expect(await query(databaseUrl(inject('postgres'), 'template'), 'SELECT number FROM "Order"')).toEqual([])
})
