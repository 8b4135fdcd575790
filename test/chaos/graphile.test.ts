import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from 'vitest'
import { eventually } from '../support/eventually.js'
import { it, WITHIN } from './place.js'

/** Has statements that complete or fail jobs fail: the first so many, or for as long as the trigger is there. */
const failing = (event: string, code: string, times = 1_000_000) => `
  CREATE SEQUENCE case_failures;
  CREATE FUNCTION case_fail() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
      IF nextval('public.case_failures') <= ${times} THEN RAISE EXCEPTION 'as if it failed' USING ERRCODE = '${code}'; END IF;
      RETURN NULL;
  END $$;
  CREATE TRIGGER case_fail ${event} ON graphile_worker._private_jobs FOR EACH STATEMENT EXECUTE FUNCTION case_fail()`

const warnings = (log: string) => log.split('\n').filter((line) => /"level":"(warning|error)"/.test(line))

describe('Graphile Worker inside a worker', () => {
  it.concurrent('has two deadlocks while it completes jobs: the statements are tried again, with one warning', async ({
    place,
    expect,
  }) => {
    const worker = await place.start()
    await place.sql(failing('BEFORE DELETE', '40P01', 2))
    await place.record(40)
    await place.allSucceeded()
    await place.queueIsEmpty()
    expect(warnings(worker.log())).toEqual([expect.stringContaining('failed and will be retried: as if it failed')])
    expect(await worker.status()).toBe('200 ok')
    expect(await place.sql('SELECT FROM async_workers')).toHaveLength(1)
  })

  it.concurrent('has a full disk for five seconds: all calls run, in the same runner', async ({ place, expect }) => {
    const worker = await place.start()
    await place.sql(failing('BEFORE DELETE', '53100'))
    await place.record(20)
    await sleep(5000)
    await place.sql('DROP FUNCTION case_fail CASCADE')
    await place.record(20)
    await place.allSucceeded()
    await place.queueIsEmpty()
    expect(worker.log()).not.toContain('Restarting it')
  })

  it.concurrent('has permanent errors when it completes jobs: another runner starts, and all calls run', async ({
    place,
    expect,
  }) => {
    const worker = await place.start()
    await place.sql(failing('BEFORE DELETE', '42501', 2))
    await place.record(40)
    await place.allSucceeded()
    await place.queueIsEmpty()
    expect(worker.log()).toMatch(/Graphile Worker takes no more jobs: completeJob failed: as if it failed/)
    await eventually('its readiness', async () => (await worker.status()) === '200 ok', WITHIN)
  })

  it.concurrent('leaves due jobs in the queue although slots are free: another runner starts', async ({
    place,
    expect,
  }) => {
    const worker = await place.start()
    // Graphile Worker remembers the number of each task for as long as it runs.
    await place.sql(`UPDATE graphile_worker._private_tasks SET identifier = 'forgotten' WHERE identifier = 'attempt'`)
    await place.record(4)
    await place.allSucceeded()
    expect(worker.log()).toContain('due jobs were not fetched although slots are free')
  })

  it.concurrent('has locked a job that it never received: another runner starts, and the job runs', async ({
    place,
    expect,
  }) => {
    const worker = await place.start()
    const pool = `(SELECT pool_id FROM async_workers)`
    await place.sql(`SELECT graphile_worker.add_job('own_job', '{}', run_at => now() + interval '1 hour')`)
    await place.sql(`
      UPDATE graphile_worker._private_jobs
      SET run_at = now(), locked_by = ${pool}, locked_at = now() - interval '61 seconds'`)
    await eventually('its run', async () => (await place.sql(`SELECT FROM effects`)).length > 0, WITHIN)
    expect(worker.log()).toContain('1 jobs were locked by this worker and never received')
  })

  it.concurrent('cannot fetch jobs: readiness and a metric show it, and the process exits with the reason', async ({
    place,
    expect,
  }) => {
    await place.sql(failing('BEFORE UPDATE OF locked_by', '42501'))
    await place.record(1)
    const worker = await place.start({ until: 'started' })
    expect(await worker.status()).toBe('503 no poll for jobs has succeeded yet')
    const counts = async () => /^async_gen_since_poll_seconds [1-9]/m.test(await worker.metrics())
    await eventually('the seconds without a poll', counts, WITHIN)
    expect(await worker.exited, worker.log()).toBe(1)
    expect(worker.lastEntry()).toMatchObject({
      level: 'error',
      message: expect.stringMatching(/^The worker ends: Graphile Worker was restarted for .* and fetched no jobs/),
      error: { code: 'GRAPHILE_FAILED' },
    })
  })

  it.concurrent('has a read-only database: the worker is not ready, waits, and continues', async ({ place }) => {
    const worker = await place.start()
    await place.record(4, '5 seconds')
    await place.sql(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'cannot execute UPDATE in a read-only transaction' USING ERRCODE = '25006'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON graphile_worker._private_jobs FOR EACH STATEMENT EXECUTE FUNCTION refuse();
      CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON async_workers FOR EACH STATEMENT EXECUTE FUNCTION refuse()`)
    await place.sql(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    )
    await eventually('the end of its readiness', async () => (await worker.status()).startsWith('503'), WITHIN)
    await sleep(8000)
    await place.sql('DROP FUNCTION refuse CASCADE')
    await place.allSucceeded()
    await eventually('its readiness', async () => (await worker.status()) === '200 ok', WITHIN)
  })
})
