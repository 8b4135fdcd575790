import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { describe } from 'vitest'
import { eventually } from '../support/eventually.js'
import { it, type Place, WITHIN } from './place.js'

const terminateAll = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`

/** Waits until a statement sleeps in the place's database. */
const somebodySleeps = (what: string, { sql }: Place) =>
  eventually(
    what,
    async () =>
      (await sql(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`)).length >
      0,
    WITHIN,
  )

describe('a worker that dies', () => {
  it.concurrent('during a slow commit of its fetch: the job is unlocked within 10 seconds of the commit', async ({
    place,
    expect,
  }) => {
    const { sql, start, record, allSucceeded } = place
    await sql(`
      CREATE TABLE slow_for (pool text);
      CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
          IF EXISTS (SELECT FROM public.slow_for WHERE pool = NEW.locked_by) THEN PERFORM pg_sleep(12); END IF;
          RETURN NEW;
      END $$;
      CREATE TRIGGER be_slow BEFORE UPDATE ON graphile_worker._private_jobs
          FOR EACH ROW WHEN (OLD.locked_at IS NULL AND NEW.locked_at IS NOT NULL) EXECUTE FUNCTION be_slow()`)
    const first = await start()
    await sql('INSERT INTO slow_for SELECT pool_id FROM async_workers')
    await record(1)
    await somebodySleeps('the fetch', place)
    first.kill('SIGKILL')
    await first.exited
    await start()
    const [deaths] = await eventually(
      'the death',
      async () => {
        const rows = await sql('SELECT clock_timestamp() AS at FROM async_workers WHERE ended_at IS NOT NULL')
        return rows.length > 0 ? rows : undefined
      },
      WITHIN,
    )
    const committed = async () =>
      (await sql(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`))
        .length === 0
    await eventually('the commit', committed, WITHIN)
    const [commit] = await sql('SELECT clock_timestamp() AS at')
    expect(commit!.at.getTime(), 'it comes after the death was seen').toBeGreaterThan(deaths!.at.getTime())
    await allSucceeded()
    const [{ at }] = (await sql('SELECT at FROM effects')) as [{ at: Date }]
    expect((at.getTime() - commit!.at.getTime()) / 1000).toBeLessThan(10)
  })

  // The worker is killed while one of its statements is still to commit, on a table, for rows of a kind.
  it.concurrent.for([
    ['the claim of a call', 'UPDATE ON attempts', `NEW.status = 'running'`],
    ['the success of a call', 'UPDATE ON attempts', `NEW.status = 'succeeded'`],
    ['the claim of a refresh', 'UPDATE ON toasts', 'NEW.locked_by IS NOT NULL'],
    ['a new value', 'UPDATE ON toasts', 'NEW.value IS NOT NULL'],
    ['its own row', 'INSERT ON async_workers', 'true'],
  ] as const)('during a slow commit of %s: the work is completed', async ([what, event, when], { place, expect }) => {
    const { sql, start, record, allSucceeded } = place
    await sql(`
      CREATE SEQUENCE slow;
      CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF nextval('public.slow') = 1 THEN PERFORM pg_sleep(8); END IF; RETURN NEW; END $$;
      CREATE TRIGGER be_slow BEFORE ${event} FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION be_slow();
      INSERT INTO "Oat" (id, name, "updatedAt") VALUES (1, 'Rolled', now());
      INSERT INTO effects (what) VALUES ('released');
      INSERT INTO toasts (name, key, refresh_at) VALUES ('oat.breakfast', '1', now())`)
    await record(1)
    const victim = await start({ until: 'process' })
    await somebodySleeps(what, place)
    victim.kill('SIGKILL')
    await victim.exited
    await start()
    await allSucceeded()
    const value = async () => (await sql(`SELECT value FROM toasts`))[0]?.value
    await eventually('the value', async () => (await value())?.oat === 'Rolled', WITHIN)
    const states = async () =>
      (
        await sql(`
          SELECT
            (SELECT count(*)::int FROM async_workers WHERE ended_at IS NULL) AS workers,
            (SELECT count(*)::int FROM graphile_worker.jobs) AS jobs,
            (SELECT count(*)::int FROM toasts WHERE locked_by IS NOT NULL OR refresh_at IS NOT NULL) AS refreshes`)
      )[0]
    const settled = { workers: 1, jobs: 0, refreshes: 0 }
    await eventually(
      'the end of all work',
      async () => isDeepStrictEqual({ ...(await states()) }, settled),
      WITHIN,
    ).catch(() => {})
    expect(await states()).toEqual(settled)
  })

  it.concurrent('leaves a job that was replaced while it ran: it is removed, in any order of transactions', async ({
    place,
  }) => {
    const { sql, start, record, allSucceeded, queueIsEmpty } = place
    await record(1, '1 hour')
    await sql(
      `UPDATE graphile_worker._private_jobs SET key = NULL, attempts = max_attempts, locked_at = NULL, locked_by = NULL`,
    )
    await sql(`UPDATE attempts SET scheduled_at = now()`)
    await start()
    await allSucceeded()
    await queueIsEmpty()
  })

  it.concurrent('leaves the job of a waiting call locked by an unknown pool: the call gets another job', async ({
    place,
  }) => {
    const { sql, start, record, allSucceeded } = place
    await record(1)
    await sql(
      `UPDATE graphile_worker._private_jobs SET locked_by = 'nobody', locked_at = now() - interval '61 seconds'`,
    )
    await start()
    await allSucceeded()
  })

  it.concurrent('has its work released in its old place in the queue, before calls that became due later', async ({
    place,
    expect,
  }) => {
    const { sql, start } = place
    await sql(`INSERT INTO async_workers (host, pid, version) VALUES ('gone', 1, '0')`)
    await sql(`
      INSERT INTO attempts (target, method, args, status, num_attempts, scheduled_at, started_at, locked_by)
      SELECT 'Probe', 'plain', '["rescued"]', 'running', 1, now() - interval '1 hour', now(), id FROM async_workers`)
    await start()
    await eventually('its run', async () => (await sql('SELECT FROM effects')).length > 0, WITHIN)
    const [row] = await sql(`SELECT now() - scheduled_at > interval '59 minutes' AS kept FROM attempts`)
    expect(row).toEqual({ kept: true })
  })
})

describe('a worker that loses its connections', () => {
  it.concurrent('twice while it announces its pool: it connects again', async ({ place, expect }) => {
    const { sql, start, record, allSucceeded } = place
    const worker = await start()
    await sql(`
      CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); RETURN NEW; END $$;
      CREATE TRIGGER announce BEFORE UPDATE OF pool_id ON async_workers FOR EACH ROW EXECUTE FUNCTION announce()`)
    await sql(terminateAll)
    await somebodySleeps('the announcement', place)
    await sql(terminateAll)
    await somebodySleeps('the next announcement', place)
    await sql('DROP FUNCTION announce CASCADE')
    await record(4)
    await allSucceeded()
    await eventually('its readiness', async () => (await worker.status()) === '200 ok', WITHIN)
    expect(worker.log()).not.toContain('The process ends')
  })

  it.concurrent('every half second: it continues when that ends', async ({ place, expect }) => {
    const { sql, start, record, allSucceeded } = place
    const worker = await start()
    await record(40)
    for (let i = 0; i < 20; i++, await sleep(500)) await sql(terminateAll)
    await record(40)
    await allSucceeded()
    expect(worker.log()).not.toContain('The process ends')
  })
})

describe('a connection that PostgreSQL ends while it has no error listener', () => {
  it.concurrent('causes a warning and does not end the process', async ({ place, expect }) => {
    const { sql, start } = place
    const worker = await start()
    await sql(
      `INSERT INTO effects (what) VALUES ('released'); SELECT graphile_worker.add_job('own_job', '{"lose": true}')`,
    )
    const ended = async () => (await sql(`SELECT FROM effects WHERE what = 'own job ended'`)).length > 0
    await eventually('the end of the job', ended, WITHIN)
    await eventually('the warning', async () => worker.log().includes('PostgreSQL ended a connection: ended'), WITHIN)
    expect(await worker.status()).toBe('200 ok')
  })
})

describe('a worker whose process ends', () => {
  it.concurrent('because of an unhandled rejection in the host: its last line says so', async ({ place, expect }) => {
    const worker = await place.start()
    await place.sql(`SELECT graphile_worker.add_job('own_job', '{"reject": true}')`)
    expect(await worker.exited).toBe(1)
    expect(worker.lastEntry()).toMatchObject({
      level: 'error',
      message: 'The process ends because of an unhandled rejection: A promise of your own has no handler',
    })
  })
})
