import { connect } from '@async-gen/runtime'
import { expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'

const url = await testDatabase()

it.each([
  ['nothing', undefined, 'undefined'],
  ['a URL', 'postgres://localhost/shop', '"postgres://localhost/shop"'],
  ['an object without transactions', { query: () => [] }, 'an object'],
  ['a client that is not there yet', Promise.resolve({}), 'a promise: await it'],
])('connect() refuses %s, and says what it got', (_, given, described) => {
  expect(() => connect(given as never, { connectionString: url })).toThrow(
    expect.objectContaining({ code: 'NOT_A_CLIENT', message: expect.stringContaining(`It got ${described}.`) }),
  )
})

it('connect() takes a proxy that makes the client when it is first used', async () => {
  const { prisma } = await import('../.app/src/db.js')
  const lazy = new Proxy({} as typeof prisma, { get: (_, name) => Reflect.get(prisma, name) })
  const db = connect(lazy, { connectionString: url })
  expect(await db.queryPrisma('SELECT 1 AS one', [])).toEqual([{ one: 1 }])
  await db.close()
})
