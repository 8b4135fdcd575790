import { AesGcmEncryptor, BaseAttempt, defineTargets, recordTarget, sweep } from '@async-gen/runtime'
import { drain, perform, prune, recorded } from '@async-gen/runtime/testing'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let calls: string[] = []

const Bank = {
  charge: async (order: number) => {
    calls.push(`charge ${order}`)
    return { receipt: `receipt ${order}` }
  },
  refuse: async (order: number) => {
    calls.push(`refuse ${order}`)
    throw new Error('card declined')
  },
}
const Warehouse = {
  ship: async (order: number) => {
    calls.push(`ship ${order}`)
    return `parcel ${order}`
  },
}
const Mailer = {
  thanks: async (order: number): Promise<string> => {
    const current = Attempt.current()
    const [receipt] = current.resultsOf(Bank, 'charge')
    const [parcel] = current.resultsOf(Warehouse, 'ship')
    calls.push(`thanks ${order}`)
    return `${receipt?.receipt ?? '-'}, ${parcel ?? '-'}, ${current.after.map((each) => each?.status ?? 'gone')}`
  },
}
const Orders = recordTarget({ load: async (id: number) => ({ id }), methods: { note: async (_order) => {} } })
const targets = defineTargets({ Bank, Warehouse, Mailer, Orders })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}

const rows = <Row = Record<string, unknown>>(sql: string, values?: unknown[]) =>
  query(url, sql, values) as Promise<Row[]>
const jobKeys = async () => (await rows<{ key: string }>('SELECT key FROM graphile_worker.jobs')).map(({ key }) => key)
const statusOf = async (...ids: bigint[]) => {
  const found = await rows<{ status: string }>('SELECT status::text FROM attempts WHERE id = ANY ($1) ORDER BY id', [
    ids,
  ])
  return found.map(({ status }) => status)
}
const work = () => runJobs(url, Attempt)

beforeEach(() => {
  calls = []
})
afterEach(() => rows('TRUNCATE attempts, async_batches, async_pauses, graphile_worker._private_jobs CASCADE'))
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

describe('after', () => {
  it('blocks a call until others have succeeded, and gives it their results', async () => {
    const [charge, ship, thanks] = await prisma.$transaction(async (tx) => {
      const charge = await Attempt.async(Bank, { tx }).charge(7)
      const ship = await Attempt.async(Warehouse, { tx, after: [charge] }).ship(7)
      return [charge, ship, await Attempt.async(Mailer, { tx, after: [ship, charge] }).thanks(7)]
    })
    expect([charge.status, ship.status, thanks.status]).toEqual(['pending', 'blocked', 'blocked'])
    expect(await jobKeys()).toEqual([`attempt:${charge.id}`])
    await work()
    expect(calls).toEqual(['charge 7', 'ship 7', 'thanks 7'])
    expect((await thanks.reload()).result).toBe('receipt 7, parcel 7, succeeded,succeeded')
  })

  it('does not count a run that lost the database while it read the others', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    const thanks = await Attempt.async(Mailer, { after: [charge], maxAttempts: 1 }).thanks(7)
    await charge.perform()
    const find = vi.spyOn(Attempt.store.dependencies, 'find')
    find.mockRejectedValueOnce(new Error('Connection terminated unexpectedly'))
    await thanks.perform()
    find.mockRestore()
    await sweep(db)
    expect(await thanks.reload()).toMatchObject({ status: 'pending', numAttempts: 0, errors: [] })
    await thanks.perform()
    expect(thanks.result).toBe('receipt 7, -, succeeded')
  })

  it('makes the call pending, with a job, in the transaction that ends the last of the others', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    const thanks = await Attempt.async(Mailer, { after: [charge] }).thanks(7)
    await prisma.$transaction(async (tx) => {
      await tx.$executeRaw`UPDATE attempts SET status = 'succeeded', completed_at = now(), result = '{"receipt": "by hand"}' WHERE id = ${charge.id}`
      const [row] = await tx.$queryRaw<{ status: string }[]>`SELECT status::text FROM attempts WHERE id = ${thanks.id}`
      expect(row?.status).toBe('pending')
      expect(await statusOf(thanks.id)).toEqual(['blocked'])
    })
    expect(await jobKeys()).toContain(`attempt:${thanks.id}`)
    await work()
    expect((await thanks.reload()).result).toBe('by hand, -, succeeded')
  })

  it('takes ids, attempts that have already ended, and rows that SQL or Prisma inserted', async () => {
    const [{ id }] = (await rows<{ id: string }>(
      `INSERT INTO attempts (target, method, args) VALUES ('Bank', 'charge', '[1]') RETURNING id`,
    )) as [{ id: string }]
    const ended = await Attempt.async(Warehouse).ship(1)
    await ended.perform()
    expect((await Attempt.async(Mailer, { after: [ended] }).thanks(0)).status).toBe('pending')
    const thanks = await Attempt.async(Mailer, { after: [id, ended.id] }).thanks(1)
    const own = await prisma.attempt.create({
      data: { target: 'Mailer', method: 'thanks', args: [2], afterIds: [thanks.id] },
    })
    await rows(
      `INSERT INTO attempts (target, method, args, after_ids) VALUES ('Mailer', 'thanks', '[3]', ARRAY[$1::bigint])`,
      [own.id],
    )
    expect([thanks.status, own.status]).toEqual(['blocked', 'blocked'])
    await work()
    expect(calls).toEqual(['ship 1', 'charge 1', 'thanks 0', 'thanks 1', 'thanks 2', 'thanks 3'])
    expect((await thanks.reload()).result).toBe('receipt 1, parcel 1, succeeded,succeeded')
  })

  it('costs a plain row nothing: its columns stay empty, however it is inserted', async () => {
    await Attempt.async(Bank).charge(1)
    await prisma.attempt.create({ data: { target: 'Bank', method: 'charge', args: [1] } })
    const found = await rows(
      'SELECT batch_id, coalesce(after_ids, $1) AS after_ids, if_failed, has_dependents FROM attempts',
      ['{}'],
    )
    const plain = { batch_id: null, after_ids: [], if_failed: null, has_dependents: false }
    expect(found).toEqual([plain, plain])
  })

  it('frees a call with a thousand predecessors once, when the last of them has succeeded', async () => {
    const many = await Attempt.createMany(
      Array.from({ length: 1000 }, (_, i) => ({ target: Bank, method: 'charge' as const, args: [i] as [number] })),
    )
    const thanks = await Attempt.async(Mailer, { after: many }).thanks(1)
    await rows(`UPDATE attempts SET status = 'succeeded' WHERE id <> ALL ($1)`, [[thanks.id, many[500]!.id]])
    expect(await statusOf(thanks.id)).toEqual(['blocked'])
    await rows(`UPDATE attempts SET status = 'succeeded' WHERE id = $1`, [many[500]!.id])
    expect(await statusOf(thanks.id)).toEqual(['pending'])
    const [plan] = await rows(
      `EXPLAIN (FORMAT JSON) SELECT id FROM attempts WHERE after_ids @> ARRAY[1::bigint] AND after_ids <> '{}'`,
    )
    expect(JSON.stringify(plan)).toContain('attempts_dependents')
  })

  it('cancels a chain of a thousand calls when the first one is cancelled', async () => {
    let last = await Attempt.async(Bank).charge(0)
    const first = last
    for (let i = 1; i <= 1000; i++) last = await Attempt.async(Bank, { after: [last] }).charge(i)
    const started = performance.now()
    await first.cancel()
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(await rows('SELECT status::text, count(*)::int FROM attempts GROUP BY 1')).toEqual([
      { status: 'cancelled', count: 1001 },
    ])
    expect((await last.reload()).errors.at(-1)).toMatchObject({
      name: 'PredecessorFailed',
      message: `Attempt ${first.id} (Bank.charge), for which it waited, was cancelled.`,
    })
    await expect(last.wait()).rejects.toThrow(/for which it waited, was cancelled/)
  })

  it('refuses cycles, and attempts that do not exist, also by SQL', async () => {
    const insert = (id: number, after: number[]) =>
      rows(`INSERT INTO attempts (id, target, method, after_ids) VALUES ($1, 'Bank', 'charge', $2)`, [id, after])
    await insert(9001, [])
    await expect(insert(9002, [9002])).rejects.toThrow(/cannot wait for itself: after_ids would be a cycle/)
    await expect(insert(9002, [9003])).rejects.toThrow(/names the row 9003, which does not exist/)
    await insert(9002, [9001])
    await expect(rows('UPDATE attempts SET after_ids = $1 WHERE id = 9001', [[9002]])).rejects.toThrow(
      /cannot change after creation/,
    )
    await expect(Attempt.async(Bank, { after: [77n] }).charge(1)).rejects.toMatchObject({ code: 'PREDECESSOR_GONE' })
  })

  it('refuses other values', async () => {
    const refused = async (options: object, code = 'INVALID_OPTION') =>
      expect(Attempt.async(Bank, options).charge(1)).rejects.toMatchObject({ code })
    await refused({ after: 7n })
    await refused({ after: [undefined] }, 'INVALID_ID')
    await refused({ after: [], ifFailed: 'never' })
    await expect(
      rows(`INSERT INTO attempts (target, method, after_ids, if_failed) VALUES ('a', 'b', '{1}', 'never')`),
    ).rejects.toThrow(/if_failed of attempts is 'never'/)
  })

  it('works with encrypted calls, subclasses and records', async () => {
    const encryptor = new AesGcmEncryptor({ first: Buffer.alloc(32, 1).toString('base64') })
    class Sealed extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets, encryptor }) {}
    class Urgent extends Sealed {}
    const charge = await Sealed.async(Bank).charge(7)
    const thanks = await Urgent.async(Mailer, { after: [charge] }).thanks(7)
    await charge.perform()
    expect(await perform(thanks)).toBe('receipt 7, -, succeeded')
    const note = await Attempt.async(Orders.for({ id: 3 }), { after: [charge] }).note()
    expect(note.afterIds).toEqual([charge.id])
  })
})

describe('ifFailed', () => {
  const failing = () => Attempt.async(Bank, { maxAttempts: 1 }).refuse(7)

  it("'cancel', the default, cancels the call and all that wait for it, and says why", async () => {
    const charge = await failing()
    const ship = await Attempt.async(Warehouse, { after: [charge] }).ship(7)
    const thanks = await Attempt.async(Mailer, { after: [ship] }).thanks(7)
    await work()
    expect(calls).toEqual(['refuse 7'])
    expect(await statusOf(ship.id, thanks.id)).toEqual(['cancelled', 'cancelled'])
    expect((await thanks.reload()).errors.at(-1)?.message).toContain(
      `Attempt ${charge.id} (Bank.refuse), for which it waited, has failed.`,
    )
    const late = await Attempt.async(Mailer, { after: [charge] }).thanks(8)
    expect(late).toMatchObject({ status: 'cancelled', ifFailed: 'cancel' })
  })

  it("'run' runs the call once all others have ended, in whichever way", async () => {
    const charge = await failing()
    const ship = await Attempt.async(Warehouse).ship(7)
    const thanks = await Attempt.async(Mailer, { after: [charge, ship], ifFailed: 'run' }).thanks(7)
    await ship.cancel()
    expect(await statusOf(thanks.id)).toEqual(['blocked'])
    await work()
    expect((await thanks.reload()).result).toBe('-, -, failed,cancelled')
  })

  it("'wait' waits until the failed one was retried and has succeeded", async () => {
    const charge = await failing()
    const thanks = await Attempt.async(Mailer, { after: [charge], ifFailed: 'wait' }).thanks(7)
    await work()
    await sweep(db)
    expect(await statusOf(charge.id, thanks.id)).toEqual(['failed', 'blocked'])
    vi.spyOn(Bank, 'refuse').mockResolvedValueOnce(undefined as never)
    await (await charge.reload()).retry()
    await work()
    expect(await statusOf(charge.id, thanks.id)).toEqual(['succeeded', 'succeeded'])
  })

  it('treats a row that is deleted as one that failed, unless it had succeeded', async () => {
    const [a, b, c, d] = [await failing(), await failing(), await failing(), await Attempt.async(Bank).charge(1)]
    const waiting = [
      await Attempt.async(Mailer, { after: [a] }).thanks(1),
      await Attempt.async(Mailer, { after: [b], ifFailed: 'run' }).thanks(2),
      await Attempt.async(Mailer, { after: [c], ifFailed: 'wait' }).thanks(3),
      await Attempt.async(Mailer, { after: [d, await Attempt.async(Bank).charge(2)] }).thanks(4),
    ]
    await d.perform()
    await rows('DELETE FROM attempts WHERE id = ANY ($1)', [[a.id, b.id, c.id, d.id]])
    expect(await statusOf(...waiting.map(({ id }) => id))).toEqual(['cancelled', 'pending', 'cancelled', 'blocked'])
    expect((await waiting[0]!.reload()).errors.at(-1)?.message).toContain('for which it waited, was deleted.')
    await work()
    expect((await waiting[3]!.reload()).result).toBe('receipt 2, -, gone,succeeded')
  })

  it('waits again if a cancelled call is retried while another has not ended', async () => {
    const charge = await failing()
    const thanks = await Attempt.async(Mailer, { after: [charge] }).thanks(7)
    await work()
    expect(await Attempt.retryAll({ status: ['failed', 'cancelled'] })).toBe(2)
    expect(await statusOf(charge.id, thanks.id)).toEqual(['pending', 'blocked'])
    await work()
    expect(await statusOf(charge.id, thanks.id)).toEqual(['failed', 'cancelled'])
    await (await thanks.reload()).retry()
    expect(await statusOf(thanks.id)).toEqual(['pending'])
  })

  it('does not stop a call that is retried because of one that had failed before, only because of one that fails later', async () => {
    const charge = await failing()
    const ships = [await Attempt.async(Warehouse).ship(7), await Attempt.async(Warehouse).ship(8)]
    const thanks = [
      await Attempt.async(Mailer, { after: [charge, ships[0]!] }).thanks(7),
      await Attempt.async(Mailer, { after: [charge, ships[1]!], ifFailed: 'wait' }).thanks(8),
      await Attempt.async(Mailer, { after: [charge, ships[1]!] }).thanks(9),
    ]
    await charge.perform()
    await thanks[1]!.cancel()
    for (const each of thanks) {
      await (await each.reload()).retry()
      expect(each.status).toBe('blocked')
    }
    const ids = thanks.map(({ id }) => id)
    await sweep(db)
    expect(await statusOf(...ids)).toEqual(['blocked', 'blocked', 'blocked'])
    await ships[0]!.perform()
    expect(await statusOf(...ids)).toEqual(['pending', 'blocked', 'blocked'])
    // That it fails once more is nothing new.
    await (await charge.reload()).retry()
    await charge.perform()
    expect(await statusOf(...ids)).toEqual(['pending', 'blocked', 'blocked'])
    await ships[1]!.cancel()
    expect(await statusOf(...ids)).toEqual(['pending', 'blocked', 'cancelled'])
  })
})

describe('a blocked attempt', () => {
  it('can be cancelled, failed and expired, found, counted, moved and waited for', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    const make = () => Attempt.async(Mailer, { after: [charge] }).thanks(7)
    const [a, b, c, d] = [await make(), await make(), await make(), await make()]
    expect(a).toMatchObject({ isBlocked: true, isPending: false, isFinished: false })
    await expect(a.wait({ timeout: '30ms' })).rejects.toThrow(/still blocked/)
    expect((await Attempt.blocked()).map(({ id }) => id)).toEqual([d.id, c.id, b.id, a.id])
    expect(await Attempt.count({ status: 'blocked' })).toBe(4)
    const inAnHour = new Date(Date.now() + 3_600_000)
    expect(await Attempt.rescheduleAll({ method: 'thanks' }, { to: inAnHour })).toBe(4)
    await a.cancel()
    await b.fail()
    await c.expire()
    expect(await statusOf(a.id, b.id, c.id)).toEqual(['cancelled', 'failed', 'expired'])
    expect(await Attempt.cancelAll({ method: 'thanks' })).toBe(1)
    await expect((await d.reload()).retry()).resolves.toBeUndefined()
    await charge.perform()
    expect((await d.reload()).scheduledAt.getTime()).toBeLessThan(inAnHour.getTime())
  })

  it('expires while it is blocked, and keeps the time for which it was scheduled', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    const expiring = await Attempt.async(Mailer, { after: [charge], expiresAfter: 5 }).thanks(7)
    const later = new Date(Date.now() + 3_600_000)
    const scheduled = await Attempt.schedule(later, Mailer, { after: [charge] }).thanks(8)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect((await sweep(db)).expired).toBe(1)
    expect(await statusOf(expiring.id)).toEqual(['expired'])
    await charge.perform()
    expect(await scheduled.reload()).toMatchObject({ status: 'pending', scheduledAt: later })
  })

  it('does not run by perform(), which warns with the reason', async () => {
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const charge = await Attempt.async(Bank).charge(7)
    const thanks = await Attempt.async(Mailer, { after: [charge] }).thanks(7)
    expect(await thanks.perform()).toBe(false)
    expect(warning).toHaveBeenCalledWith(
      expect.stringContaining(`it waits for attempt ${charge.id} (Bank.charge), which is pending.`),
      expect.objectContaining({ code: 'ATTEMPT_NOT_DUE' }),
    )
    warning.mockRestore()
    await expect(perform(thanks)).rejects.toThrow(/it waits for attempt/)
  })

  it('runs after its predecessors in drain(), and is in recorded()', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    await Attempt.async(Mailer, { after: [charge] }).thanks(7)
    expect(await recorded(Attempt, { target: Mailer, method: 'thanks' })).toHaveLength(1)
    expect(await drain(db)).toMatchObject({ succeeded: 2 })
    expect(calls).toEqual(['charge 7', 'thanks 7'])
  })

  it('waits for a pause too, when it is free', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    const thanks = await Attempt.async(Mailer, { after: [charge] }).thanks(7)
    await Attempt.pause(Mailer)
    await work()
    expect(await statusOf(thanks.id)).toEqual(['pending'])
    await Attempt.resume(Mailer)
    await work()
    expect(await statusOf(thanks.id)).toEqual(['succeeded'])
  })

  it('is found by its predecessors, and finds them', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    const thanks = await Attempt.async(Mailer, { after: [charge] }).thanks(7)
    expect((await charge.dependents()).map(({ id }) => id)).toEqual([thanks.id])
    expect((await thanks.predecessors()).map((each) => each?.id)).toEqual([charge.id])
    expect(JSON.parse(JSON.stringify(thanks))).toMatchObject({
      status: 'blocked',
      afterIds: [String(charge.id)],
      batchId: null,
    })
  })

  it('keeps what it waits for from retention', async () => {
    const charge = await Attempt.async(Bank).charge(7)
    const other = await Attempt.async(Bank).charge(8)
    const thanks = await Attempt.async(Mailer, { after: [charge, other] }).thanks(7)
    await charge.perform()
    await rows(`UPDATE attempts SET completed_at = now() - interval '1 year' WHERE id = $1`, [charge.id])
    await prune(db)
    expect(await statusOf(charge.id)).toEqual(['succeeded'])
    await other.perform()
    await prune(db)
    expect(await statusOf(charge.id, thanks.id)).toEqual(['succeeded', 'pending'])
    await perform(thanks)
    const { id: unrelated } = await Attempt.async(Mailer, {
      after: [other, await Attempt.async(Bank).charge(9)],
    }).thanks(9)
    await prune(db)
    expect(await statusOf(charge.id, unrelated)).toEqual(['blocked'])
  })

  it('is repaired by the sweep if the triggers did not fire', async () => {
    const [charge, bad] = [await Attempt.async(Bank).charge(7), await Attempt.async(Bank).charge(8)]
    const thanks = await Attempt.async(Mailer, { after: [charge] }).thanks(7)
    const doomed = await Attempt.async(Mailer, { after: [bad] }).thanks(8)
    const behind = await Attempt.async(Mailer, { after: [doomed] }).thanks(9)
    const [{ id: lone }] = (await rows<{ id: bigint }>(
      `INSERT INTO attempts (target, method, args, status) VALUES ('Mailer', 'thanks', '[9]', 'blocked') RETURNING id`,
    )) as [{ id: bigint }]
    await rows('ALTER TABLE attempts DISABLE TRIGGER attempts_end_updated')
    await rows(`UPDATE attempts SET status = 'succeeded' WHERE id = $1`, [charge.id])
    await rows(`UPDATE attempts SET status = 'failed' WHERE id = $1`, [bad.id])
    await rows('ALTER TABLE attempts ENABLE TRIGGER attempts_end_updated')
    await sweep(db)
    expect(await statusOf(thanks.id, doomed.id, behind.id, lone)).toEqual([
      'pending',
      'cancelled',
      'cancelled',
      'pending',
    ])
    expect(await jobKeys()).toEqual(expect.arrayContaining([`attempt:${thanks.id}`, `attempt:${lone}`]))
  })
})

it('a call ends although SQL has given one that waits for it the key of a debounced call that waits', async () => {
  const charge = await Attempt.async(Bank).charge(7)
  const thanks = await Attempt.async(Mailer, { after: [charge] }).thanks(7)
  await rows(`UPDATE attempts SET debounce_key = 'debounce:7' WHERE id = $1`, [thanks.id])
  await Attempt.async(Mailer, { debounce: { key: '7', wait: '1 hour' } }).thanks(8)
  await charge.perform()
  expect(await statusOf(charge.id, thanks.id)).toEqual(['succeeded', 'pending'])
})

describe('transactions at the same time', () => {
  for (const isolation of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
    it(`free a call that waits for two, both ended at the same moment: ${isolation}`, async () => {
      const [a, b] = [await Attempt.async(Bank).charge(1), await Attempt.async(Bank).charge(2)]
      const thanks = await Attempt.async(Mailer, { after: [a, b] }).thanks(1)
      await Promise.all([a, b].map((each) => retried(() => endIn(isolation, each.id))))
      expect(await statusOf(thanks.id)).toEqual(['pending'])
    })
  }

  it('see a call that is recorded while the one that it waits for ends', async () => {
    const charge = await Attempt.async(Bank).charge(1)
    const performed: Promise<unknown>[] = []
    const thanks = await prisma.$transaction(async (tx) => {
      const recorded = await Attempt.async(Mailer, { tx, after: [charge] }).thanks(1)
      performed.push(rows(`UPDATE attempts SET status = 'succeeded' WHERE id = $1`, [charge.id]))
      await new Promise((resolve) => setTimeout(resolve, 50))
      return recorded
    })
    await Promise.all(performed)
    expect(await statusOf(thanks.id)).toEqual(['pending'])
  })

  it.each([
    ['succeeded', 'pending'],
    ['failed', 'cancelled'],
  ])(
    'miss a call recorded after their snapshot if they are REPEATABLE READ: %s, then the sweep',
    async (end, status) => {
      const charge = await Attempt.async(Bank).charge(1)
      const early = await Attempt.async(Mailer, { after: [charge] }).thanks(1)
      const late = await prisma.$transaction(
        async (tx) => {
          await tx.$queryRaw`SELECT count(*)::int FROM attempts`
          const [recorded] = await rows<{ id: string }>(
            `INSERT INTO attempts (target, method, args, after_ids) VALUES ('Mailer', 'thanks', '[2]', ARRAY[$1::bigint]) RETURNING id`,
            [charge.id],
          )
          await tx.$executeRaw`UPDATE attempts SET status = ${end}::attempt_status WHERE id = ${charge.id}`
          return BigInt(recorded!.id)
        },
        { isolationLevel: 'RepeatableRead' },
      )
      expect(await statusOf(early.id, late)).toEqual([status, 'blocked'])
      await sweep(db)
      expect(await statusOf(early.id, late)).toEqual([status, status])
      const key = `attempt:${late}`
      expect((await jobKeys()).filter((each) => each === key)).toEqual(status === 'pending' ? [key] : [])
    },
  )
})

/** Ends a call in a transaction that has read before it waits for the other one. */
async function endIn(isolation: string, id: bigint): Promise<void> {
  await prisma.$transaction(async (tx) => {
    await tx.$executeRawUnsafe(`SET TRANSACTION ISOLATION LEVEL ${isolation}`)
    await tx.$queryRaw`SELECT count(*)::int FROM attempts`
    await new Promise((resolve) => setTimeout(resolve, 20))
    await tx.$executeRaw`UPDATE attempts SET status = 'succeeded' WHERE id = ${id}`
    await new Promise((resolve) => setTimeout(resolve, 20))
  })
}

async function retried(run: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      if (tries === 20) throw error
    }
  }
}
