import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../support/eventually.js'
import { run } from '../../support/run.js'
import type { Scene } from './scene.js'

/** One thing that is done to four workers while calls are recorded and run. */
export interface Scenario {
  name: string
  /** What is done, for the table's reader. */
  title: string
  /** With how many calls due it is played; a run for each. */
  backlogs: number[]
  /** Before the first worker starts. */
  before?(scene: Scene): Promise<void>
  /** The fault, from its begin to its end. */
  fault(scene: Scene): Promise<void>
  /** Once all work is done and the workers have ended: what is expected beyond the invariants. Throws. */
  after?(scene: Scene): Promise<void>
  /** Takes back what outlives the database. */
  undo?(scene: Scene): Promise<void>
  /** The workers connect through a proxy. */
  proxied?: boolean
  /** No call is interrupted by it, so that one with a single run succeeds too. */
  costsNoRun?: boolean
  /** A worker may end, with a reason: its supervisor starts another. */
  mayEnd?: boolean
}

const BACKLOG = 2000

export const scenarios: Scenario[] = [
  {
    name: 'kill',
    title: '`kill -9` of one worker, 20 times, at random moments',
    backlogs: [0, BACKLOG],
    async fault(scene) {
      for (let kills = 0; kills < 20; kills++) {
        await sleep(scene.random() * 1000)
        const victims = scene.fleet.running.filter(({ wasReady }) => wasReady)
        await addOwnJobs(scene)
        if (victims.length > 0) await scene.kill(scene.pick(victims))
        await scene.fleet.untilReady(2)
      }
    },
  },
  {
    name: 'kill-all',
    title: '`kill -9` of all workers at once, 3 times',
    backlogs: [0],
    async fault(scene) {
      for (let kills = 0; kills < 3; kills++) {
        await scene.kill(...scene.fleet.running)
        await scene.fleet.untilReady(scene.workers)
        await scene.progress(20)
      }
    },
  },
  {
    name: 'late-commit',
    title: '`kill -9` of a worker whose fetch of jobs commits 6 s later',
    backlogs: [0],
    async fault(scene) {
      const [victim] = scene.fleet.running
      await scene.sql(SLOW_FETCH)
      await scene.sql('INSERT INTO slow_for SELECT pool_id FROM async_workers WHERE pid = $1', [victim!.pid])
      await eventually('a fetch that sleeps', async () => (await scene.sql(FETCH_SLEEPS)).length > 0, 60_000)
      await scene.kill(victim!)
      await scene.sql('DELETE FROM slow_for')
      await eventually('the commit', async () => (await scene.sql(FETCH_SLEEPS)).length === 0, 60_000)
    },
  },
  {
    name: 'terminate',
    title: '`pg_terminate_backend` for all sessions, once',
    backlogs: [0, BACKLOG],
    async fault(scene) {
      await scene.terminate()
    },
  },
  terminateStorm('terminate-briefly', 5, [0]),
  terminateStorm('terminate-storm', 30, [0, BACKLOG]),
  {
    name: 'lost-twice',
    title: '`pg_terminate_backend` for all sessions, and again while the workers register themselves',
    backlogs: [0],
    async fault(scene) {
      await scene.sql(SLOW_ANNOUNCEMENT)
      for (let round = 0; round < 2; round++) {
        await scene.terminate()
        await eventually('an announcement', async () => (await scene.sql(ANNOUNCING)).length > 0, 60_000)
      }
      await scene.terminate()
      await scene.sql('DROP FUNCTION slow_announcement CASCADE')
    },
  },
  {
    name: 'restart',
    title: 'PostgreSQL stops immediately (`pg_ctl stop -m immediate`) and is down for 3 s, twice',
    backlogs: [0, BACKLOG],
    async fault(scene) {
      for (let round = 0; round < 2; round++) {
        await scene.ground.server!.crash()
        await sleep(3000)
        await scene.ground.server!.start()
        if (round === 0) await scene.progress(10)
      }
    },
  },
  {
    name: 'backend-crash',
    title: '`kill -9` of a backend: PostgreSQL ends all sessions and recovers',
    backlogs: [0],
    async fault(scene) {
      const [backend] = await scene.sql(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name NOT LIKE 'chaos%' LIMIT 1`,
      )
      process.kill(backend!.pid, 'SIGKILL')
    },
  },
  {
    name: 'failover',
    title: 'all connections stop answering, and the server has ended their sessions; new connections work',
    backlogs: [0, BACKLOG],
    proxied: true,
    async fault(scene) {
      scene.proxy!.fallSilent({ closed: true })
    },
  },
  {
    name: 'failover-slow',
    title: 'the same, and new connections get no answer for 8 s either',
    backlogs: [0],
    proxied: true,
    async fault(scene) {
      scene.proxy!.fallSilent({ all: true, closed: true })
      await scene.lasts(8)
      scene.proxy!.fallSilent({ closed: true })
    },
  },
  {
    name: 'silence',
    title:
      'a proxy passes no more bytes and closes no connection: PostgreSQL keeps the sessions, transactions and locks',
    backlogs: [0],
    proxied: true,
    async fault(scene) {
      scene.proxy!.fallSilent()
    },
  },
  {
    name: 'locked-row',
    title: 'the application locks the row of one due call, until each worker has run other calls',
    backlogs: [0],
    costsNoRun: true,
    async fault(scene) {
      await scene.holdingRow(async () => {
        const idle = await scene.untilEachTakesWork()
        if (idle.length > 0) throw new Error(`One locked row stops all slots of its worker: ${idle.join('; ')}`)
      })
    },
  },
  connectionLimit('connections-used-up', 0, 'no connection is possible for 8 s (`CONNECTION LIMIT 0`)'),
  connectionLimit('few-connections', 8, 'for 8 s the workers have 8 connections together'),
  {
    name: 'read-only',
    title: 'all sessions end, and the database is read-only for 8 s, as after a failover',
    backlogs: [0, BACKLOG],
    async fault(scene) {
      await scene.elsewhere(`ALTER DATABASE "${scene.database}" SET default_transaction_read_only = on`)
      await scene.terminate()
      await scene.lasts(8)
      await scene.elsewhere(`ALTER DATABASE "${scene.database}" RESET default_transaction_read_only`)
      await scene.terminate()
    },
  },
  ...['attempts', 'graphile_worker._private_jobs', 'async_workers'].map(
    (table): Scenario => ({
      name: `lock-${table.split('.').at(-1)!.replaceAll('_', '-').replace(/^-/, '')}`,
      title: `an \`ACCESS EXCLUSIVE\` lock on ${table} for 8 s`,
      backlogs: [0],
      costsNoRun: true,
      async fault(scene) {
        await scene.sql(`DO $$ BEGIN LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE; PERFORM pg_sleep(8); END $$`)
      },
    }),
  ),
  {
    name: 'disk-full',
    title: 'the disk is full for 5 s: no job can be completed',
    backlogs: [0],
    costsNoRun: true,
    async fault(scene) {
      await scene.sql(refuse('DELETE', 'graphile_worker._private_jobs', '53100', 'No space left on device'))
      await scene.lasts(5)
      await scene.sql('DROP FUNCTION refuse CASCADE')
    },
  },
  {
    name: 'disk-full-everywhere',
    title: 'the disk is full for 5 s: neither attempts nor jobs can be changed',
    backlogs: [0],
    costsNoRun: true,
    async fault(scene) {
      await scene.sql(
        refuse('INSERT OR UPDATE OR DELETE', 'graphile_worker._private_jobs', '53100', 'No space left on device'),
      )
      await scene.sql(
        `CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON attempts FOR EACH ROW EXECUTE FUNCTION refuse()`,
      )
      await scene.lasts(5)
      await scene.sql('DROP FUNCTION refuse CASCADE')
    },
  },
  {
    name: 'completion-fails',
    title: 'two statements that complete jobs fail (a deadlock)',
    backlogs: [0, BACKLOG],
    costsNoRun: true,
    async fault(scene) {
      await scene.sql(FAIL_TWICE)
      await eventually(
        'both failures',
        async () => (await scene.sql(`SELECT FROM fail_twice_count WHERE last_value >= 2`)).length > 0,
        60_000,
      )
    },
  },
  {
    name: 'deadlocks',
    title: 'one in five statements that write attempts or jobs fails with a deadlock, for 8 s',
    backlogs: [0],
    costsNoRun: true,
    async fault(scene) {
      await scene.sql(refuse('UPDATE OR DELETE', 'graphile_worker._private_jobs', '40P01', 'deadlock detected', 0.2))
      await scene.sql(`CREATE TRIGGER refuse BEFORE UPDATE ON attempts FOR EACH STATEMENT EXECUTE FUNCTION refuse()`)
      await scene.lasts(8)
      await scene.sql('DROP FUNCTION refuse CASCADE')
    },
  },
  {
    name: 'statement-timeout',
    title: "the role's `statement_timeout` is 300 ms, and for 8 s the completion of jobs takes 500 ms",
    backlogs: [0],
    async before(scene) {
      await scene.elsewhere(
        `ALTER ROLE "${scene.role}" IN DATABASE "${scene.database}" SET statement_timeout = '300ms'`,
      )
    },
    costsNoRun: true,
    async fault(scene) {
      await scene.sql(SLOW_COMPLETION)
      await scene.lasts(8)
      await scene.sql('DROP FUNCTION slow_completion CASCADE')
    },
  },
  {
    name: 'serializable',
    title: '`default_transaction_isolation = serializable`, and 200 calls are recorded at the same time',
    backlogs: [0],
    costsNoRun: true,
    async before(scene) {
      await scene.elsewhere(`ALTER DATABASE "${scene.database}" SET default_transaction_isolation = 'serializable'`)
    },
    async fault(scene) {
      const env = { DATABASE_URL: scene.access.url, WITNESS_URL: scene.access.admin }
      const { stdout } = await run(scene.ground.host, process.execPath, ['--import', 'tsx', 'src/record.ts', '200'], {
        env,
      })
      const refused: string[] = JSON.parse(stdout)
      if (refused.length > 0) throw new Error(`${refused.length} of 200 calls could not be recorded: ${refused[0]}`)
    },
  },
  {
    name: 'stopped-process',
    title: 'two workers are frozen for 10 s (SIGSTOP, SIGCONT)',
    backlogs: [0],
    async fault(scene) {
      const stopped = scene.fleet.running.slice(0, 2)
      for (const { process } of stopped) process.kill('SIGSTOP')
      await scene.lasts(10)
      for (const { process } of stopped) process.kill('SIGCONT')
    },
  },
  {
    name: 'deploy',
    title: 'SIGTERM to one worker after the other, while its replacement starts',
    backlogs: [0],
    costsNoRun: true,
    async fault(scene) {
      for (const worker of [...scene.fleet.running]) {
        await scene.fleet.launch()
        const late = await scene.fleet.stop(worker)
        if (late.length > 0) throw new Error(`Worker ${worker.pid} ran on for a minute after SIGTERM.`)
        if (worker.exitCode !== 0) throw new Error(`Worker ${worker.pid} ended with ${worker.exitCode} after SIGTERM.`)
      }
    },
  },
]

function connectionLimit(name: string, limit: number, what: string): Scenario {
  const allow = (scene: Scene, connections: number) =>
    scene.elsewhere(`ALTER ROLE "${scene.role}" CONNECTION LIMIT ${connections}`)
  return {
    name,
    title: `all sessions end, and ${what}`,
    backlogs: [0],
    async fault(scene) {
      await allow(scene, limit)
      await scene.terminate()
      await scene.lasts(8)
      await allow(scene, -1)
    },
    async undo(scene) {
      await allow(scene, -1)
    },
  }
}

function terminateStorm(name: string, seconds: number, backlogs: number[]): Scenario {
  return {
    name,
    title: `\`pg_terminate_backend\` for all sessions every 500 ms for ${seconds} s, while workers are killed and started`,
    backlogs,
    async fault(scene) {
      for (let round = 0; round < seconds * 2; round++) {
        await scene.terminate()
        if (round % 20 === 5) await scene.kill(scene.fleet.running[0]!)
        await sleep(500)
      }
    },
  }
}

/** The same job, added again while it runs: the first loses its key, and its attempts count as used up. */
async function addOwnJobs(scene: Scene): Promise<void> {
  const key = `own-${Math.floor(scene.random() * 3)}`
  await scene.sql(`SELECT graphile_worker.add_job('own_job', job_key => $1)`, [key])
}

/** A trigger that fails as PostgreSQL would: always, or for a share of the statements. */
function refuse(events: string, table: string, code: string, message: string, share = 1): string {
  return `
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF random() < ${share} THEN RAISE EXCEPTION '${message}' USING ERRCODE = '${code}'; END IF;
      RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END $$;
    CREATE TRIGGER refuse BEFORE ${events} ON ${table} FOR EACH ${share < 1 ? 'STATEMENT' : 'ROW'} EXECUTE FUNCTION refuse()`
}

const FAIL_TWICE = `
  CREATE SEQUENCE fail_twice_count;
  CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    IF nextval('public.fail_twice_count') <= 2 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF;
    RETURN NULL;
  END $$;
  CREATE TRIGGER fail_twice BEFORE DELETE ON graphile_worker._private_jobs FOR EACH STATEMENT EXECUTE FUNCTION fail_twice()`

const SLOW_COMPLETION = `
  CREATE FUNCTION slow_completion() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
  CREATE TRIGGER slow_completion BEFORE DELETE ON graphile_worker._private_jobs FOR EACH STATEMENT EXECUTE FUNCTION slow_completion()`

const SLOW_ANNOUNCEMENT = `
  CREATE FUNCTION slow_announcement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); RETURN NEW; END $$;
  CREATE TRIGGER slow_announcement BEFORE UPDATE ON async_workers FOR EACH ROW EXECUTE FUNCTION slow_announcement()`

const ANNOUNCING = `
  SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event = 'PgSleep' AND query ~ 'async_workers' AND application_name NOT LIKE 'chaos%'`

const SLOW_FETCH = `
  CREATE TABLE slow_for (pool text);
  CREATE FUNCTION slow_fetch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  BEGIN
    IF EXISTS (SELECT FROM public.slow_for WHERE pool = NEW.locked_by) THEN PERFORM pg_sleep(6); END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER slow_fetch BEFORE UPDATE ON graphile_worker._private_jobs
    FOR EACH ROW WHEN (OLD.locked_at IS NULL AND NEW.locked_at IS NOT NULL) EXECUTE FUNCTION slow_fetch()`

const FETCH_SLEEPS = `
  SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event = 'PgSleep' AND application_name NOT LIKE 'chaos%'`
