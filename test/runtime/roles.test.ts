// An application with row security runs a request's statements as a lesser role: SET LOCAL ROLE, inside the transaction.
import { attemptTask, BaseAttempt, connect, defineTargets, hasToast, refreshToastTask, sweep } from '@async-gen/runtime'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { checkRowSecurity } from '../../runtime/src/worker/row-security.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

/** A role belongs to the server, which other test files use too. */
const tenant = `tenant_${new URL(url).pathname.slice(1)}`
const Mail = { send: async (to: string) => `sent to ${to}` }
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Mail }) }) {}
const breakfast = hasToast(db, 'oat', 'breakfast', { compute: async ({ name }) => ({ name }) })

const rows = (sql: string, values: unknown[] = []) => query(url, sql, values)
const jobs = () => rows('SELECT task_identifier AS task, key FROM graphile_worker.jobs ORDER BY id')
const work = () =>
  runJobs(url, Attempt, { taskList: { attempt: attemptTask(Attempt), refresh_toast: refreshToastTask(db) } })

type Transaction = Parameters<Parameters<typeof prisma.$transaction>[0]>[0]

/** Runs statements as the tenant, in one transaction. */
function asTenant<Result>(run: (tx: Transaction) => Promise<Result>): Promise<Result> {
  return prisma.$transaction(async (tx: Transaction) => {
    await tx.$executeRawUnsafe(`SET LOCAL ROLE ${tenant}`)
    return await run(tx)
  })
}

const execute = (sql: string) => asTenant((tx) => tx.$executeRawUnsafe(sql))

beforeAll(async () => {
  // Graphile Worker's schema is there: otherwise nothing is enqueued by anybody.
  await work()
  await rows(`
    CREATE ROLE ${tenant} NOLOGIN;
    GRANT USAGE ON SCHEMA public TO ${tenant};
    GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO ${tenant};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${tenant};
    GRANT ${tenant} TO CURRENT_USER`)
})
afterEach(async () => {
  await rows('TRUNCATE attempts, toasts, "Oat", graphile_worker._private_jobs CASCADE')
})
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
  await rows(`DROP OWNED BY ${tenant}; DROP ROLE ${tenant}`)
})

describe('a role without rights to the schema of Graphile Worker', () => {
  it('A1: records an attempt in its transaction, which runs', async () => {
    const attempt = await asTenant((tx) => Attempt.async(Mail, { tx }).send('Ada'))
    expect(await jobs()).toEqual([{ task: 'attempt', key: `attempt:${attempt.id}` }])
    await work()
    expect((await attempt.reload()).result).toBe('sent to Ada')
  })

  it('A1: records an attempt by plain Prisma, and by SQL', async () => {
    const { id } = await asTenant((tx) =>
      tx.attempt.create({ data: { target: 'Mail', method: 'send', args: ['Eve'] } }),
    )
    await execute(`INSERT INTO attempts (target, method, args) VALUES ('Mail', 'send', '["Bob"]')`)
    await work()
    expect((await Attempt.find(id))?.result).toBe('sent to Eve')
    expect(await Attempt.count({ status: 'succeeded' })).toBe(2)
  })

  it('makes a row due again if it may update it', async () => {
    const attempt = await asTenant((tx) => Attempt.schedule(new Date(Date.now() + 3_600_000), Mail, { tx }).send('Ada'))
    await execute('UPDATE attempts SET scheduled_at = now()')
    await work()
    expect((await attempt.reload()).isSucceeded).toBe(true)
  })

  it('T4, T5: reads a toast in its transaction, requests a refresh, and makes it stale', async () => {
    const oat = await prisma.oat.create({ data: { name: 'steel-cut' } })
    expect(await asTenant((tx) => breakfast(oat, { tx }))).toEqual({ error: 'Data not yet available' })
    await work()
    expect(await asTenant((tx) => breakfast(oat, { tx }))).toMatchObject({ name: 'steel-cut' })
    await asTenant((tx) => breakfast.expire(oat, { tx }))
    expect(await jobs()).toMatchObject([{ task: 'refresh_toast' }])
  })
})

describe('such a role enqueues only rows that it inserts:', () => {
  it('no row that row security rejects, and its own rows otherwise', async () => {
    await rows(`
      ALTER TABLE attempts ENABLE ROW LEVEL SECURITY;
      CREATE POLICY mine ON attempts TO ${tenant} USING (target = 'Mail') WITH CHECK (target = 'Mail')`)
    try {
      await Attempt.async(Mail).send('Ada')
      await rows('TRUNCATE graphile_worker._private_jobs')
      await expect(execute(`INSERT INTO attempts (target, method) VALUES ('Bank', 'pay')`)).rejects.toThrow(
        /row-level security/,
      )
      expect(await jobs()).toEqual([])
      const attempt = await asTenant((tx) => Attempt.async(Mail, { tx }).send('Eve'))
      expect(await jobs()).toEqual([{ task: 'attempt', key: `attempt:${attempt.id}` }])
    } finally {
      await rows('DROP POLICY mine ON attempts; ALTER TABLE attempts DISABLE ROW LEVEL SECURITY')
    }
  })

  it('and gets an error if a token is taken by a row that it cannot see', async () => {
    await rows(`
      ALTER TABLE attempts ENABLE ROW LEVEL SECURITY;
      CREATE POLICY mine ON attempts TO ${tenant} USING (priority < 50) WITH CHECK (true)`)
    try {
      const call = { target: Mail, method: 'send' as const, args: ['Ada'] as [string], idempotenceToken: 'order-1' }
      await Attempt.create({ ...call, priority: 99 })
      await expect(asTenant((tx) => Attempt.create(call, { tx }))).rejects.toMatchObject({ code: 'TOKEN_HIDDEN' })
    } finally {
      await rows('DROP POLICY mine ON attempts; ALTER TABLE attempts DISABLE ROW LEVEL SECURITY')
    }
  })

  it('no job by itself: neither by Graphile Worker, nor by calling the function that enqueues', async () => {
    await expect(execute(`SELECT graphile_worker.add_job('attempt', '{}')`)).rejects.toThrow(/permission denied/)
    await expect(execute('SELECT attempts_enqueue()')).rejects.toThrow(
      /permission denied|can only be called as trigger/,
    )
  })

  it.each(['attempts_enqueue', 'toasts_enqueue'])('nor by a table of its own with a trigger of %s', async (name) => {
    const forged = asTenant(async (tx) => {
      await tx.$executeRawUnsafe('CREATE TEMPORARY TABLE forged (LIKE toasts)')
      await tx.$executeRawUnsafe(
        `CREATE TRIGGER forged AFTER INSERT ON forged REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION ${name}()`,
      )
    })
    await expect(forged).rejects.toThrow(/permission denied for function/)
  })

  it('no other task by a toast: the table takes the names of refreshes only', async () => {
    const insert = `INSERT INTO toasts (name, key, task, refresh_at) VALUES ('x', '1', 'attempt', now())`
    await expect(execute(insert)).rejects.toThrow(/toasts_task_is_a_refresh/)
    expect(await jobs()).toEqual([])
  })

  it('nothing else by temporary tables and a search path of its own', async () => {
    const id = await asTenant(async (tx) => {
      await tx.$executeRawUnsafe('CREATE TEMPORARY TABLE inserted AS SELECT 1 AS id')
      await tx.$executeRawUnsafe('SET LOCAL search_path = pg_temp, public')
      const [row] = await tx.$queryRawUnsafe<{ id: bigint }[]>(
        `INSERT INTO public.attempts (target, method, args) VALUES ('Mail', 'send', '["Ada"]') RETURNING id`,
      )
      return row!.id
    })
    expect(await jobs()).toEqual([{ task: 'attempt', key: `attempt:${id}` }])
  })
})

describe('a worker', () => {
  const messages: string[] = []
  afterEach(() => void messages.splice(0))
  const log = { operation: () => {}, message: (_level: string, text: string) => void messages.push(text) }
  const worker = `worker_${tenant}`
  const owner = `owner_${tenant}`
  const asWorker = new URL(url)
  asWorker.searchParams.set('options', `-c role=${worker}`)
  const bound = connect(prisma, { connectionString: asWorker.href })
  class Seen extends BaseAttempt(bound, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Mail }) }) {}

  beforeAll(async () => {
    await rows(`
      CREATE ROLE ${worker} NOLOGIN;
      GRANT ALL ON SCHEMA public, graphile_worker TO ${worker};
      GRANT ALL ON ALL TABLES IN SCHEMA public, graphile_worker TO ${worker}`)
  })
  afterAll(async () => {
    await bound.close()
    await rows(`DROP OWNED BY ${worker}; DROP ROLE ${worker}`)
  })

  it('does not start if it cannot see the jobs', async () => {
    await expect(checkRowSecurity(bound, log)).rejects.toMatchObject({ code: 'NO_JOBS' })
  })

  it('does not start if row security hides rows from it, and the error says what to do', async () => {
    const { relowner } = (await rows(`SELECT relowner::regrole FROM pg_class WHERE relname = '_private_jobs'`))[0]
    await rows(
      `ALTER TABLE graphile_worker._private_jobs OWNER TO ${worker}; ALTER TABLE attempts ENABLE ROW LEVEL SECURITY`,
    )
    try {
      expect(Seen.store.table).toBe('attempts')
      await expect(checkRowSecurity(bound, log)).rejects.toMatchObject({
        code: 'NO_ROWS',
        message: expect.stringMatching(/rows of attempts from the role worker_.*BYPASSRLS/),
      })
      await rows(`ALTER ROLE ${worker} BYPASSRLS`)
      await checkRowSecurity(bound, log)
    } finally {
      await rows(`
        ALTER TABLE attempts DISABLE ROW LEVEL SECURITY;
        ALTER TABLE graphile_worker._private_jobs OWNER TO ${relowner}`)
    }
  })

  it('does not start if row security hides pauses from it', async () => {
    const { relowner } = (await rows(`SELECT relowner::regrole FROM pg_class WHERE relname = '_private_jobs'`))[0]
    await rows(
      `ALTER ROLE ${worker} NOBYPASSRLS;
       ALTER TABLE graphile_worker._private_jobs OWNER TO ${worker}; ALTER TABLE async_pauses ENABLE ROW LEVEL SECURITY`,
    )
    try {
      await expect(checkRowSecurity(bound, log)).rejects.toMatchObject({
        code: 'NO_ROWS',
        message: expect.stringContaining('hides rows of async_pauses'),
      })
    } finally {
      await rows(`
        ALTER TABLE async_pauses DISABLE ROW LEVEL SECURITY;
        ALTER TABLE graphile_worker._private_jobs OWNER TO ${relowner}`)
    }
  })

  it('can resume without rights on the jobs: the sweep of a worker enqueues the calls that waited', async () => {
    await rows(`GRANT SELECT, INSERT, UPDATE ON async_pauses TO ${worker}`)
    await Seen.pause(Mail)
    const attempt = await Attempt.async(Mail).send('Ada')
    await work()
    expect(await Seen.resume(Mail)).toBe(true)
    expect(await jobs()).toEqual([])
    await sweep(db)
    await work()
    expect((await attempt.reload()).isSucceeded).toBe(true)
    expect(await rows('SELECT FROM async_pauses')).toEqual([])
  })

  it('warns if the owner of the trigger function may not add jobs; the sweep adds them', async () => {
    await rows(`GRANT CREATE ON SCHEMA public TO ${tenant}; ALTER FUNCTION attempts_enqueue() OWNER TO ${tenant}`)
    try {
      await checkRowSecurity(db, log)
      expect(messages).toEqual([expect.stringMatching(/^attempts_enqueue\(\) belongs to tenant_.*ALTER FUNCTION/)])
      const attempt = await Attempt.async(Mail).send('Ada')
      expect(await jobs()).toEqual([])
      await sweep(db)
      await work()
      expect((await attempt.reload()).isSucceeded).toBe(true)
    } finally {
      await rows(
        `ALTER FUNCTION attempts_enqueue() OWNER TO CURRENT_USER; REVOKE CREATE ON SCHEMA public FROM ${tenant}`,
      )
    }
  })

  it.each([
    ['BYPASSRLS', 'SELECT, INSERT'],
    ['BYPASSRLS', 'INSERT, UPDATE'],
    ['BYPASSRLS', 'SELECT, UPDATE'],
    ['NOBYPASSRLS', 'SELECT, INSERT, UPDATE'],
  ])('warns, and nothing fails, if that owner has %s, and of the rights on jobs only %s', async (bypass, rights) => {
    await rows(`
      CREATE ROLE ${owner} ${bypass} NOLOGIN;
      GRANT CREATE ON SCHEMA public TO ${owner};
      GRANT USAGE ON SCHEMA graphile_worker TO ${owner};
      GRANT ${rights} ON ALL TABLES IN SCHEMA graphile_worker TO ${owner};
      GRANT ALL ON attempts, async_pauses TO ${owner};
      ALTER FUNCTION attempts_enqueue() OWNER TO ${owner};
      ALTER FUNCTION attempts_wake() OWNER TO ${owner};
      ALTER FUNCTION toasts_enqueue() OWNER TO ${owner}`)
    const asOwner = new URL(url)
    asOwner.searchParams.set('options', `-c role=${owner}`)
    const ownDb = connect(prisma, { connectionString: asOwner.href })
    class Own extends BaseAttempt(ownDb, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Mail }) }) {}
    try {
      await checkRowSecurity(db, log)
      expect(messages).toContainEqual(expect.stringMatching(/^attempts_enqueue\(\) belongs to owner_.*ALTER FUNCTION/))
      const attempt = await Attempt.async(Mail).send('Ada')
      await attempt.cancel()
      await Own.retryAll({ status: 'cancelled' })
      await rows(`
        INSERT INTO attempts (target, method, args, limit_key) SELECT 'Mail', 'send', '["Ada"]', 'key' FROM generate_series(1, 2)`)
      await rows(`UPDATE attempts SET status = 'cancelled' WHERE id = (SELECT max(id) FROM attempts)`)
      await rows(`
        INSERT INTO toasts (name, key, task, refresh_at) VALUES ('oat.breakfast', gen_random_uuid(), 'refresh_toast', now())`)
      expect(await jobs()).toEqual([])
      await sweep(db)
      await work()
      expect((await attempt.reload()).isSucceeded).toBe(true)
    } finally {
      await ownDb.close()
      await rows(`
        ALTER FUNCTION attempts_enqueue() OWNER TO CURRENT_USER;
        ALTER FUNCTION attempts_wake() OWNER TO CURRENT_USER;
        ALTER FUNCTION toasts_enqueue() OWNER TO CURRENT_USER;
        DROP OWNED BY ${owner}; DROP ROLE ${owner}`)
    }
  })
})

it('cannot call the functions that run as their owner, except those that only free what may run', async () => {
  const functions = await rows(
    `SELECT proname AS name, has_function_privilege($1, oid, 'EXECUTE') AS callable, proconfig::text AS config
     FROM pg_proc WHERE prosecdef AND proname ~ '^(attempts|toasts)_' ORDER BY proname`,
    [tenant],
  )
  expect(functions.filter(({ callable }) => callable).map(({ name }) => name)).toEqual([
    'attempts_finish_batch',
    'attempts_unblock',
  ])
  expect(functions.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['attempts_cancel_dependents', 'attempts_end', 'attempts_enqueue', 'attempts_wake']),
  )
  for (const { name, config } of functions) expect(config, name).toContain('search_path=')
})
