import { AesGcmEncryptor, BaseAttempt, defineTargets, sweep } from '@async-gen/runtime'
import { drain, inline, inRollback, prune } from '@async-gen/runtime/testing'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let calls: string[] = []
let running = gate()
let release = gate()

const Resize = {
  image: async (name: string) => {
    calls.push(`image ${name}`)
    return name.length
  },
  broken: async (name: string) => {
    calls.push(`broken ${name}`)
    throw new Error('not an image')
  },
  album: async (names: string[]): Promise<number> => {
    const added = await Attempt.current().batch!.add(
      names.map((name) => ({ target: Resize, method: 'image' as const, args: [name] as [string] })),
    )
    return added.length
  },
  slow: async () => {
    running.open()
    await release.opened
  },
}
const Album = {
  publish: async (name: string): Promise<string> => {
    const { succeeded, failed, total } = await Attempt.current().batch!.counts()
    calls.push(`publish ${name}`)
    return `${name}: ${succeeded} of ${total}, ${failed} failed`
  },
}
const targets = defineTargets({ Resize, Album })
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}

const image = (name: string) => ({ target: Resize, method: 'image' as const, args: [name] as [string] })
const broken = (name: string) => ({
  target: Resize,
  method: 'broken' as const,
  args: [name] as [string],
  maxAttempts: 1,
})
const publish = (name: string) => ({ target: Album, method: 'publish' as const, args: [name] as [string] })

const rows = <Row = Record<string, unknown>>(sql: string, values?: unknown[]) =>
  query(url, sql, values) as Promise<Row[]>
const statusOf = async (id: bigint | null) =>
  (await rows<{ status: string }>('SELECT status::text FROM attempts WHERE id = $1', [id]))[0]?.status
const idsOf = async (batch: bigint) =>
  (
    await rows<{ id: bigint }>(`SELECT id FROM attempts WHERE batch_id = $1 AND method <> 'publish' ORDER BY id`, [
      batch,
    ])
  ).map(({ id }) => id)
const work = (concurrency = 1) => runJobs(url, Attempt, { concurrency })

beforeEach(() => {
  calls = []
  running = gate()
  release = gate()
})
afterEach(() => rows('TRUNCATE attempts, async_batches, graphile_worker._private_jobs CASCADE'))
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

describe('Attempt.batch', () => {
  it('runs `then` once, after all of its calls have ended, whatever became of them', async () => {
    const batch = await prisma.$transaction((tx) =>
      Attempt.batch([image('a'), broken('b'), image('c')], { tx, then: publish('summer') }),
    )
    expect(await statusOf(batch.thenId)).toBe('blocked')
    expect(await batch.counts()).toMatchObject({ pending: 3, total: 3, ended: 0, progress: 0 })
    await work(3)
    expect(calls.toSorted()).toEqual(['broken b', 'image a', 'image c', 'publish summer'])
    expect(calls.at(-1)).toBe('publish summer')
    expect((await Attempt.find(batch.thenId!))!.result).toBe('summer: 2 of 3, 1 failed')
    expect(await batch.wait()).toMatchObject({ succeeded: 2, failed: 1, ended: 3, progress: 1 })
    expect((await Attempt.findBatch(batch.id))?.finishedAt).toEqual(batch.finishedAt)
  })

  it('leaves nothing behind if its transaction rolls back', async () => {
    const rolledBack = prisma.$transaction(async (tx) => {
      await Attempt.batch([image('a')], { tx, then: publish('summer') })
      throw new Error('no album')
    })
    await expect(rolledBack).rejects.toThrow('no album')
    expect(await rows('SELECT FROM attempts UNION ALL SELECT FROM async_batches')).toEqual([])
  })

  it('runs `then` at once if it has no calls, or none that are new', async () => {
    const empty = await Attempt.batch([], { then: publish('empty') })
    expect([empty.isFinished, await statusOf(empty.thenId)]).toEqual([true, 'pending'])
    const call = { ...image('a'), idempotenceToken: 'once' }
    await Attempt.create(call)
    const repeated = await Attempt.batch([call], { then: publish('repeated') })
    expect([repeated.isFinished, await statusOf(repeated.thenId)]).toEqual([true, 'pending'])
    const without = await Attempt.batch([])
    expect([without.isFinished, without.thenId]).toEqual([true, null])
  })

  it.each([
    ['plain SQL', (ids: bigint[]) => rows(`UPDATE attempts SET status = 'succeeded' WHERE id = ANY ($1)`, [ids])],
    [
      'SQL, one by one',
      async (ids: bigint[]) => {
        for (const id of ids) await rows(`UPDATE attempts SET status = 'failed' WHERE id = $1`, [id])
      },
    ],
    ['DELETE', (ids: bigint[]) => rows('DELETE FROM attempts WHERE id = ANY ($1)', [ids])],
    ['cancelAll', () => Attempt.cancelAll({ method: 'image' })],
    [
      'cancel, fail and expire',
      async (ids: bigint[]) => {
        const [a, b, c] = await Promise.all(ids.map((id) => Attempt.find(id)))
        await a!.cancel()
        await b!.fail()
        await c!.expire()
      },
    ],
    [
      'expiry',
      async (ids: bigint[]) => {
        await rows(`UPDATE attempts SET expires_at = now() WHERE id = ANY ($1)`, [ids])
        await sweep(db)
      },
    ],
    [
      'the rescue of dead workers',
      async (ids: bigint[]) => {
        await rows(
          `UPDATE attempts SET status = 'running', num_attempts = 1, max_attempts = 1, locked_by = 99999 WHERE id = ANY ($1)`,
          [ids],
        )
        await sweep(db)
      },
    ],
  ] as const)('runs `then` once if its calls are ended by %s', async (_, end) => {
    const batch = await Attempt.batch([image('a'), image('b'), image('c')], { then: publish('summer') })
    await end(await idsOf(batch.id))
    expect(await statusOf(batch.thenId)).toBe('pending')
    expect(await rows(`SELECT FROM graphile_worker.jobs WHERE key = $1`, [`attempt:${batch.thenId}`])).toHaveLength(1)
    await work()
    expect(calls).toEqual(['publish summer'])
  })

  it('makes `then` pending in the transaction that ends the last call', async () => {
    const batch = await Attempt.batch([image('a')], { then: publish('summer') })
    await prisma.$transaction(async (tx) => {
      await tx.attempt.updateMany({ where: { method: 'image' }, data: { status: 'succeeded' } })
      expect((await tx.attempt.findUnique({ where: { id: batch.thenId! } }))?.status).toBe('pending')
      expect(await statusOf(batch.thenId)).toBe('blocked')
    })
  })

  it('does not run `then` again if a call is retried after the end', async () => {
    const batch = await Attempt.batch([broken('a')], { then: publish('summer') })
    await work()
    await Attempt.retryAll({ batch })
    await work()
    expect(calls).toEqual(['broken a', 'publish summer', 'broken a'])
    expect((await batch.reload()).isFinished).toBe(true)
  })

  it('takes calls and `then` with options, encrypted ones too', async () => {
    const encryptor = new AesGcmEncryptor({ first: Buffer.alloc(32, 1).toString('base64') })
    class Sealed extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets, encryptor }) {}
    const batch = await Sealed.batch([{ ...image('a'), priority: 30 }], {
      then: { ...publish('secret'), priority: 40 },
    })
    expect(JSON.stringify(await rows('SELECT args FROM attempts'))).not.toContain('secret')
    await drain(db, { attempts: [Sealed] })
    expect(await Sealed.find(batch.thenId!)).toMatchObject({ result: 'secret: 1 of 1, 0 failed', priority: 40 })
    // @ts-expect-error the compiler refuses it too
    await expect(Attempt.batch([{ ...image('a'), batch }])).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    // @ts-expect-error the compiler refuses it too
    await expect(Attempt.batch([], { then: { ...publish('a'), after: [] } })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    })
    await expect(Attempt.batch([], { than: publish('a') } as never)).rejects.toMatchObject({ code: 'UNKNOWN_OPTION' })
  })

  it('can be recorded by SQL', async () => {
    await rows(`
      WITH batch AS (
        INSERT INTO async_batches (model, then_id) VALUES ('Attempt', nextval('attempts_id_seq')) RETURNING *
      )
      INSERT INTO attempts (id, target, method, args, batch_id)
      SELECT then_id, 'Album', 'publish', '["SQL"]'::jsonb, id FROM batch
      UNION ALL
      SELECT nextval('attempts_id_seq'), 'Resize', 'image', '["a"]'::jsonb, id FROM batch`)
    await work()
    expect(calls).toEqual(['image a', 'publish SQL'])
  })
})

describe('a batch', () => {
  it('gets more calls from a call that runs, also the last one, and from elsewhere', async () => {
    const batch = await Attempt.batch([{ target: Resize, method: 'album', args: [['a', 'b']] }], {
      then: publish('summer'),
    })
    await Attempt.async(Resize, { batch }).image('c')
    await prisma.$transaction((tx) => batch.add(image('d'), { tx }))
    await work()
    expect((await Attempt.find(batch.thenId!))!.result).toBe('summer: 5 of 5, 0 failed')
    await expect(batch.add(image('e'))).rejects.toMatchObject({ code: 'BATCH_FINISHED' })
    await expect(
      rows(`INSERT INTO attempts (target, method, batch_id) VALUES ('Resize', 'image', $1)`, [batch.id]),
    ).rejects.toThrow(/has finished and gets no more calls/)
    await expect(Attempt.async(Resize, { batch: 999n }).image('e')).rejects.toMatchObject({ code: 'BATCH_GONE' })
    await expect(
      rows(`INSERT INTO attempts (target, method, batch_id) VALUES ('Resize', 'image', 999)`),
    ).rejects.toThrow(/There is no such batch/)
  })

  it('waits for a transaction that adds a call while the last other call ends', async () => {
    const batch = await Attempt.batch([image('a')], { then: publish('summer') })
    const ended: Promise<unknown>[] = []
    await prisma.$transaction(async (tx) => {
      await batch.add(image('b'), { tx })
      ended.push(rows(`UPDATE attempts SET status = 'succeeded' WHERE batch_id = $1 AND args = '["a"]'`, [batch.id]))
      await new Promise((resolve) => setTimeout(resolve, 50))
    })
    await Promise.all(ended)
    expect(await statusOf(batch.thenId)).toBe('blocked')
    await work()
    expect(calls).toEqual(['image b', 'publish summer'])
  })

  it('does not hold up others while a call of it adds in a transaction', async () => {
    const batch = await Attempt.batch([image('a'), { target: Resize, method: 'slow' }], { then: publish('summer') })
    const worked = work(2)
    await running.opened
    const [{ id }] = (await rows<{ id: bigint }>(`SELECT id FROM attempts WHERE method = 'slow'`)) as [{ id: bigint }]
    await prisma.$transaction(async (tx) => {
      await batch.add({ ...image('b'), parent: (await Attempt.find(id))! }, { tx })
      await rows(`SET lock_timeout = '1s'; UPDATE attempts SET status = 'succeeded' WHERE args = '["a"]'`)
    })
    release.open()
    await worked
    await work()
    expect(calls.at(-1)).toBe('publish summer')
    expect((await Attempt.find(batch.thenId!))!.result).toBe('summer: 3 of 3, 0 failed')
  })

  it('can be cancelled: what runs aborts, and neither the rest nor `then` runs', async () => {
    const batch = await Attempt.batch([image('a'), { target: Resize, method: 'slow' }, image('b')], {
      then: publish('summer'),
    })
    await rows(`UPDATE attempts SET status = 'running', locked_by = 99999 WHERE method = 'slow'`)
    expect(await batch.cancel()).toBe(3)
    expect(await batch.counts()).toMatchObject({ cancelled: 3, total: 3, ended: 3 })
    expect(await statusOf(batch.thenId)).toBe('cancelled')
    expect((await batch.reload()).isFinished).toBe(true)
    expect(batch.cancelledAt).toBeInstanceOf(Date)
    await expect(batch.add(image('c'))).rejects.toThrow(/has been cancelled/)
    await work()
    expect(calls).toEqual([])
  })

  it('refuses a call that waits for `then` of its own batch, also through others', async () => {
    const [one, two] = [
      await Attempt.batch([image('a')], { then: publish('summer') }),
      await Attempt.batch([image('b')], { then: publish('winter') }),
    ]
    await expect(one.add({ ...image('c'), after: [one.thenId!] })).rejects.toThrow(/they would wait for each other/)
    const between = await Attempt.async(Resize, { after: [one.thenId!] }).image('d')
    await expect(one.add({ ...image('c'), after: [between] })).rejects.toThrow(/they would wait for each other/)
    await two.add({ ...image('e'), after: [between], ifFailed: 'wait' })
    await expect(one.add({ ...image('f'), after: [two.thenId!] })).rejects.toThrow(/they would wait for each other/)
    await expect(
      rows(
        `INSERT INTO async_batches (id, model, then_id) VALUES (900, 'Attempt', 9000);
         INSERT INTO attempts (id, target, method, batch_id, after_ids) VALUES (9000, 'Resize', 'image', 900, ARRAY[${between.id}])`,
      ),
    ).rejects.toThrow(/cannot have after_ids/)
    await work()
    expect(calls).toEqual(['image a', 'image b', 'publish summer', 'image d', 'image e', 'publish winter'])
  })

  it('never waits for itself if two transactions add at the same moment what would close a cycle', async () => {
    for (let round = 0; round < 5; round++) {
      for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
        const [one, two] = [
          await Attempt.batch([image('a')], { then: publish('summer') }),
          await Attempt.batch([image('b')], { then: publish('winter') }),
        ]
        const add = (batch: typeof one, other: typeof one) =>
          prisma.$transaction(async (tx) => {
            await tx.$executeRawUnsafe(`SET TRANSACTION ISOLATION LEVEL ${isolation}`)
            await tx.$queryRaw`SELECT count(*)::int FROM attempts`
            await new Promise((resolve) => setTimeout(resolve, 5))
            await batch.add({ ...image('c'), after: [other.thenId!] }, { tx })
          })
        const added = await Promise.allSettled([add(one, two), add(two, one)])
        expect(added.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(2)
      }
    }
    await work(4)
    expect(await Attempt.count({ status: 'blocked' })).toBe(0)
  })

  it('blocks `then` again that is retried before the batch has finished', async () => {
    const batch = await Attempt.batch([image('a')], { then: publish('summer') })
    const following = (await Attempt.find(batch.thenId!))!
    await following.cancel()
    await following.retry()
    expect(following.status).toBe('blocked')
    await following.expire()
    expect(await Attempt.retryAll({ status: 'expired' })).toBe(1)
    expect(await statusOf(batch.thenId)).toBe('blocked')
    await work()
    expect(calls).toEqual(['image a', 'publish summer'])
    await following.reload()
    await rows(`UPDATE attempts SET status = 'failed' WHERE id = $1`, [batch.thenId])
    await (await following.reload()).retry()
    expect(following.status).toBe('pending')
  })

  it('reports its progress to wait(), which ends with the last call', async () => {
    const batch = await Attempt.batch([image('a'), broken('b')])
    const seen: number[] = []
    const waited = batch.wait({ onProgress: ({ ended }) => seen.push(ended), timeout: '30s' })
    await eventually('the first report', async () => seen.length > 0)
    await work()
    expect(await waited).toMatchObject({ total: 2, ended: 2 })
    expect([seen[0], seen.at(-1)]).toEqual([0, 2])
    const other = await Attempt.batch([image('a')])
    await expect(other.wait({ timeout: 30 })).rejects.toThrow(/0 of 1 calls have ended/)
  })

  it('is found by filters, without the call that follows', async () => {
    const batch = await Attempt.batch([image('a'), image('b')], { then: publish('summer') })
    await Attempt.async(Resize).image('c')
    expect(await Attempt.count({ batch })).toBe(2)
    expect((await Attempt.where({ batch: batch.id, status: 'pending' })).map(({ batchId }) => batchId)).toEqual([
      batch.id,
      batch.id,
    ])
  })

  it('is kept by retention until it has finished, and deleted after its calls', async () => {
    const batch = await Attempt.batch([image('a'), image('b')], { then: publish('summer') })
    const [first] = await idsOf(batch.id)
    await rows(`UPDATE attempts SET status = 'succeeded', completed_at = now() - interval '1 year' WHERE id = $1`, [
      first,
    ])
    await prune(db)
    expect((await batch.counts()).total).toBe(2)
    await work()
    await rows(
      `UPDATE attempts SET completed_at = now() - interval '1 year'; UPDATE async_batches SET finished_at = now() - interval '1 year'`,
    )
    const open = await Attempt.batch([image('c')])
    await prune(db)
    expect(await rows('SELECT batch_id::text FROM attempts UNION SELECT id::text FROM async_batches')).toEqual([
      { batch_id: `${open.id}` },
    ])
    expect(await Attempt.findBatch(batch.id)).toBeNull()
    await expect(batch.reload()).rejects.toMatchObject({ code: 'BATCH_GONE' })
  })

  it('is finished by the sweep if the triggers did not fire', async () => {
    const batch = await Attempt.batch([image('a')], { then: publish('summer') })
    const other = await Attempt.batch([image('a')], { then: publish('winter') })
    await rows('ALTER TABLE attempts DISABLE TRIGGER attempts_end_updated')
    await rows(`UPDATE attempts SET status = 'succeeded' WHERE batch_id = $1 AND method = 'image'`, [batch.id])
    await rows('ALTER TABLE attempts ENABLE TRIGGER attempts_end_updated')
    await sweep(db)
    expect([await statusOf(batch.thenId), await statusOf(other.thenId)]).toEqual(['pending', 'blocked'])
  })

  it('works inside of inRollback(), drain() and inline()', async () => {
    await inRollback(prisma, async (tx) => {
      const batch = await Attempt.batch([image('a')], { tx, then: publish('summer') })
      await Attempt.batch([image('b')], { then: publish('winter') })
      expect(await drain(db)).toMatchObject({ succeeded: 4 })
      expect((await batch.reload()).isFinished).toBe(true)
    })
    expect(calls.toSorted()).toEqual(['image a', 'image b', 'publish summer', 'publish winter'])
    inline(Attempt)
    try {
      calls = []
      await Attempt.batch([image('c')], { then: publish('autumn') })
      await prisma.$transaction((tx) => Attempt.batch([image('d')], { tx, then: publish('spring') }))
      expect(calls).toEqual(['image c', 'publish autumn', 'image d', 'publish spring'])
    } finally {
      inline(Attempt, false)
    }
  })
})

describe('transactions at the same time', () => {
  for (const isolation of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
    it(`run \`then\` once if they end the last calls at the same moment: ${isolation}`, async () => {
      for (let round = 0; round < 5; round++) {
        const batch = await Attempt.batch(['a', 'b', 'c', 'd'].map(image), { then: publish('summer') })
        await Promise.all((await idsOf(batch.id)).map((id, i) => retried(() => endIn(isolation, id, i))))
        expect(await statusOf(batch.thenId)).toBe('pending')
      }
    })
  }

  it('end calls of several batches in different orders', async () => {
    const batches = await Promise.all(
      [1, 2, 3].map(() =>
        Attempt.batch(
          Array.from({ length: 60 }, (_, i) => image(`${i}`)),
          { then: publish('x') },
        ),
      ),
    )
    await work(10)
    expect(calls.filter((call) => call.startsWith('publish'))).toHaveLength(3)
    for (const batch of batches) expect(await batch.counts()).toMatchObject({ succeeded: 60 })
  })
})

/** Ends a call in a transaction whose snapshot is older than the ends of the others. */
async function endIn(isolation: string, id: bigint, i: number): Promise<void> {
  await prisma.$transaction(async (tx) => {
    await tx.$executeRawUnsafe(`SET TRANSACTION ISOLATION LEVEL ${isolation}`)
    await tx.$queryRaw`SELECT count(*)::int FROM attempts`
    await new Promise((resolve) => setTimeout(resolve, 5 * i))
    await tx.$executeRaw`UPDATE attempts SET status = 'succeeded' WHERE id = ${id}`
    await new Promise((resolve) => setTimeout(resolve, 5))
  })
}

async function retried(run: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      if (tries === 30) throw error
    }
  }
}
