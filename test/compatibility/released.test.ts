import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runMigrations } from 'graphile-worker'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { assembleHost, asyncGen, REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { ATTEMPT_KEY, folderWithPackagesOf, generators, RELEASED, releasedEdits } from '../support/released.js'
import { ONE_PROCESS, run, SPEC_TIMEOUTS } from '../support/run.js'
import { closeStages, playScene } from '../support/team.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

/** Where an edit of the team and the newer templates meet in the same lines, which the team has to settle. */
const CONFLICTS = {
  '0.1.0': [
    'Procfile',
    'src/async/attempt.factory.ts',
    'src/async/attempt.ts',
    'src/async/reports/monthly_sales.ts',
    'src/async/test/monthly_sales.test.ts',
  ],
}

const versions = Object.keys(CONFLICTS) as (keyof typeof CONFLICTS)[]

it('every stored version is upgraded here', () => {
  expect(readdirSync(RELEASED).filter((name) => /^\d/.test(name))).toEqual(versions)
})

/** One deployment, from that version to this one, without a pause. The tests are the steps of it, in this order. */
describe.each(versions)('a host of version %s', (version) => {
  const stored = join(RELEASED, version)
  const dir = folderWithPackagesOf(REPOSITORY)
  const [old, current, fresh] = [join(dir, 'old'), join(dir, 'current'), join(dir, 'fresh')]

  let url: string
  /** A copy of the database in which no old worker runs. */
  let copy: string
  const workers: WorkerProcess[] = []
  let oldWorker: WorkerProcess
  let worker: WorkerProcess

  beforeAll(async () => {
    url = await createDatabase(inject('postgres'), { name: 'released' })
    placeHost(old)
    // Nearer than that of this repository.
    const runtime = join(old, 'node_modules', '@async-gen', 'runtime')
    mkdirSync(runtime, { recursive: true })
    await run(runtime, 'tar', ['-xzf', join(stored, 'runtime.tgz'), '--strip-components=1'])
    await prisma(old, ['generate'], { env: env() })
    await prisma(old, ['migrate', 'deploy'], { env: env() })
    await runMigrations({ connectionString: url })
    await sql(readFileSync(join(stored, 'rows.sql'), 'utf8'))
    copy = await createDatabase(inject('postgres'), { name: 'releasedcopy', template: 'released' })
  })

  afterAll(async () => {
    await closeStages()
    for (const each of workers) each.kill('SIGKILL')
    await Promise.all(workers.map(({ exited }) => exited))
    rmSync(dir, { recursive: true, force: true })
  })

  describe('async-gen upgrade', () => {
    it('writes nothing where an edit of the team and a newer template meet, and lists the files', async () => {
      placeHost(current)
      const before = filesOf(current)
      const { stdout } = await asyncGen(current, ['upgrade', '--yes'], { exitCodes: [3] })
      expect([...stdout.matchAll(/^ *conflict {2}(\S+)/gm)].map(([, file]) => file).sort()).toEqual(CONFLICTS[version])
      expect(filesOf(current)).toEqual(before)
    })

    it('keeps every edit of the team', async () => {
      await asyncGen(current, ['upgrade', '--on-conflict', 'mine'])
      for (const { file, changes } of releasedEdits) {
        const lines = readFileSync(join(current, file), 'utf8').split('\n')
        for (const [from, to] of changes) {
          const added = to.split('\n').filter((line) => !from.split('\n').includes(line))
          // The first and the last may be parts of lines.
          for (const line of added)
            expect(
              lines.some((each) => each.includes(line)),
              `${file}: ${line}`,
            ).toBe(true)
        }
      }
    })

    it('emits the migrations that the host lacks, and leaves those that it has as they are', async () => {
      await generateFreshHost()
      const before = migrationsOf(join(stored, 'app'))
      const after = migrationsOf(current)
      const emitted = migrationsOf(fresh)
      expect(after).toEqual({ ...emitted, ...before })
      expect(Object.keys(after).slice(0, Object.keys(before).length)).toEqual(Object.keys(before))
    })

    it('finds each migration that the host has with the text that it is emitted with today', () => {
      const before = migrationsOf(join(stored, 'app'))
      expect(migrationsOf(fresh)).toMatchObject(before)
    })

    it('changes nothing when it runs again', async () => {
      const before = filesOf(current)
      const { stdout } = await asyncGen(current, ['upgrade', '--yes'])
      expect(stdout).not.toMatch(/^ *(create|update|merge|conflict|delete) /m)
      expect(filesOf(current)).toEqual(before)
    })

    it('leaves code that compiles under --strict', async () => {
      await prisma(current, ['generate'], { env: env() })
      await run(current, process.execPath, [
        join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc'),
        '--strict',
        '--singleThreaded',
      ])
    })
  })

  describe('a deployment', () => {
    it('the old worker finishes what its version left in the database', async () => {
      oldWorker = await start(old)
      await release('killed')
      await settled()
      await expectBooked('waiting', 2)
      expect(await booked('killed held')).toEqual([{ run: 2, pid: oldWorker.pid }])
      expect(await booked('failing')).toEqual([{ run: 2, pid: oldWorker.pid }])
    })

    it('the migrations run while the old worker runs a call, which goes on', async () => {
      await play(old, 'hold', 'migrating')
      await waiting('migrating', oldWorker)
      await prisma(current, ['migrate', 'deploy'], { env: env() })
      await release('migrating')
      await settled()
      expect(await booked('migrating held')).toEqual([{ run: 1, pid: oldWorker.pid }])
      expect(await booked('migrating held payment')).toEqual([{ run: 1, pid: oldWorker.pid }])
    })

    it('after the migrations the old worker runs what the old code and the new code record', async () => {
      await Promise.all([play(old, 'record', 'migrated', 2), play(current, 'record', 'early', 2)])
      await settled()
      await expectBooked('migrated', 2)
      await expectBooked('early', 2)
      expect(problems(oldWorker)).toEqual([])
    })

    it('a new worker shares the work with the old one, and each call is booked once', async () => {
      await play(old, 'hold', 'old')
      await waiting('old', oldWorker)
      worker = await start(current)
      const labels: string[] = []
      await eventually('calls of both workers', async () => {
        const round = [`from old ${labels.length}`, `from new ${labels.length}`]
        labels.push(...round)
        await Promise.all([play(old, 'record', round[0]!, 10), play(current, 'record', round[1]!, 10)])
        const pids = await sql(`SELECT DISTINCT pid FROM "Entry" WHERE starts_with(call, 'from ')`)
        return [oldWorker, worker].every(({ pid }) => pids.some((each) => each.pid === pid))
      })
      await settled(['old'])
      for (const label of labels) await expectBooked(label, 10)
    })

    it('calls that only a new worker can hold back or end run once or not at all beside the old one', async () => {
      await sql(`INSERT INTO async_pauses (model, target, method) VALUES ('Attempt', 'Ledger', 'book')`)
      await sql(`
        INSERT INTO attempts (target, method, args, expires_at, timeout_ms)
        SELECT 'Ledger', 'book', jsonb_build_array('controlled ' || i), now() + i * interval '20 ms', 60000
        FROM generate_series(1, 100) AS i`)
      await eventually('the end of those that expire', async () => {
        const rows = await sql(
          `SELECT FROM attempts WHERE args ->> 0 LIKE 'controlled%' AND status IN ('pending', 'running')`,
        )
        return rows.length === 0
      })
      await sql('DELETE FROM async_pauses')
      const rows = await sql(`
        SELECT status, count(*)::int, count(entry.call)::int AS booked, count(DISTINCT entry.call)::int AS calls
        FROM attempts LEFT JOIN "Entry" AS entry ON entry.call = args ->> 0
        WHERE args ->> 0 LIKE 'controlled%' GROUP BY status`)
      for (const { status, count, booked, calls } of rows)
        expect({ status, booked, calls }).toEqual(
          status === 'expired' ? { status, booked: 0, calls: 0 } : { status: 'succeeded', booked: count, calls: count },
        )
    })

    it('limits, batches and dependencies end beside an old worker, which knows none of them', async () => {
      const file = join(current, 'src', 'async', 'targets.ts')
      const text = readFileSync(file, 'utf8')
      // Calls that do not begin with that word have a key of their own.
      const key = `(call) => (call.startsWith('limited') ? 'limited' : call)`
      const limited = text
        .replace('import { defineTargets }', 'import { defineTargets, limit }')
        .replace(/\}\)\)\s*$/, `}), { limits: () => [limit(Ledger, { key: ${key}, concurrency: 1 })] })\n`)
      expect(limited).toContain('concurrency: 1')
      writeFileSync(file, limited)
      try {
        expect(await worker.stop(), worker.log()).toBe(0)
        worker = await start(current)
        await sql(`
          WITH batch AS (
            INSERT INTO async_batches (model, then_id) VALUES ('Attempt', nextval('attempts_id_seq')) RETURNING *
          ), following AS (
            INSERT INTO attempts (id, target, method, args, batch_id)
            SELECT then_id, 'Ledger', 'book', '["limited then"]'::jsonb, id FROM batch
          )
          INSERT INTO attempts (target, method, args, batch_id, limit_key)
          SELECT 'Ledger', CASE WHEN i % 7 = 0 THEN 'retry' ELSE 'book' END, jsonb_build_array('limited ' || i), id,
            CASE WHEN i % 2 = 0 THEN 'Ledger:limited' END
          FROM batch, generate_series(1, 60) AS i`)
        await sql(`
          INSERT INTO attempts (target, method, args, after_ids, if_failed)
          SELECT 'Ledger', 'book', '["limited after"]'::jsonb, array_agg(id), 'run' FROM attempts WHERE args ->> 0 ~ '^limited (1|30|60|then)$'`)
        await withLogs(
          eventually('the end of all of them', async () => {
            const open = await sql(`SELECT FROM attempts WHERE args ->> 0 LIKE 'limited%' AND completed_at IS NULL`)
            return open.length === 0
          }),
          () =>
            sql(
              `SELECT id, status::text, limit_key, num_attempts, locked_by FROM attempts WHERE args ->> 0 LIKE 'limited%' AND completed_at IS NULL`,
            ),
        )
        const booked = await sql(
          `SELECT call, count(*)::int FROM "Entry" WHERE starts_with(call, 'limited ') GROUP BY 1 HAVING count(*) > 1`,
        )
        expect(booked).toEqual([])
        const [order] = await sql(`
          SELECT
            (SELECT count(*)::int FROM attempts WHERE args ->> 0 LIKE 'limited%' AND status = 'succeeded') AS succeeded,
            (SELECT bool_and(others.completed_at <= following.started_at)
              FROM attempts AS following, attempts AS others
              WHERE following.args ->> 0 = 'limited then' AND others.batch_id = following.batch_id AND others.id <> following.id) AS batch,
            (SELECT bool_and(others.completed_at <= waiting.started_at)
              FROM attempts AS waiting JOIN attempts AS others ON others.id = ANY (waiting.after_ids)
              WHERE waiting.args ->> 0 = 'limited after') AS dependency`)
        expect(order).toEqual({ succeeded: 62, batch: true, dependency: true })
        // Its sweep takes calls that wait for their limit for calls without a job. When it ends one, it adds no job for the next.
        expect(problems(oldWorker).filter((line) => !line.includes('had no job'))).toEqual([])
        expect(problems(worker).filter((line) => !line.includes('Due rows without a job'))).toEqual([])
      } finally {
        writeFileSync(file, text)
      }
      expect(await worker.stop(), worker.log()).toBe(0)
      worker = await start(current)
    })

    it('each version reads what the other one has written', async () => {
      // Rows that were inserted later than they were written are stale. Reading them asks for a refresh.
      await play(old, 'read')
      await settled(['old'])
      const [byOld, byNew] = await Promise.all([play(old, 'read'), play(current, 'read')])
      expect(byNew).toEqual(byOld)
      expect(byNew.payments).toContainEqual(
        expect.objectContaining({
          args: ['history retried 0'],
          status: 'succeeded',
          result: 'booked history retried 0',
        }),
      )
    })

    it('the new worker takes over what the old one ran when it is killed', async () => {
      await kill(oldWorker)
      await waiting('old', worker)
      await release('old')
      await settled()
      expect(await booked('old held')).toEqual([{ run: 2, pid: worker.pid }])
      expect(await booked('old held payment')).toEqual([{ run: 2, pid: worker.pid }])
    })

    it('an old worker takes over what the new one ran when it is killed', async () => {
      await play(current, 'hold', 'new')
      await waiting('new', worker)
      oldWorker = await start(old)
      await kill(worker)
      await waiting('new', oldWorker)
      await release('new')
      await settled()
      expect(await booked('new held')).toEqual([{ run: 2, pid: oldWorker.pid }])
      expect(await booked('new held payment')).toEqual([{ run: 2, pid: oldWorker.pid }])
    })

    it('both work on beside each other after that, and stop in order', async () => {
      worker = await start(current)
      await Promise.all([play(old, 'record', 'last', 10), play(current, 'record', 'least', 10)])
      await settled()
      await expectBooked('last', 10)
      await expectBooked('least', 10)
      for (const each of [oldWorker, worker]) {
        expect(problems(each)).toEqual([])
        expect(await each.stop(), each.log()).toBe(0)
      }
    })

    it('nothing is left but what is not due yet', async () => {
      expect(await leftovers()).toEqual({
        calls: ['scheduled in two days', 'a payment'],
        jobs: ['attempt', 'payment_attempt'],
        toasts: [],
      })
    })
  })

  describe('what it comes to', () => {
    it('is the database of a host that was generated today', async () => {
      const today = await createDatabase(inject('postgres'))
      for (const folder of readdirSync(join(fresh, 'prisma', 'migrations'))
        .filter((name) => /^\d/.test(name))
        .sort()) {
        await query(today, readFileSync(join(fresh, 'prisma', 'migrations', folder, 'migration.sql'), 'utf8'))
      }
      await query(today, readFileSync(join(RELEASED, 'team', 'migration.sql'), 'utf8'))
      expect(await catalogOf(url)).toEqual(await catalogOf(today))
    })

    it('is what the schema says and what the doctor expects', async () => {
      const diff = ['migrate', 'diff', '--from-config-datasource', '--to-schema', 'prisma/schema.prisma', '--exit-code']
      expect((await prisma(current, diff, { env: env() })).stdout).toContain('No difference detected')
      const cli = join(REPOSITORY, 'dist', 'bin', 'async-gen.js')
      const { stdout } = await run(current, process.execPath, [cli, 'doctor', '--json'], {
        env: env(),
        exitCodes: [0, 5],
      })
      expect(JSON.parse(stdout).findings).toEqual([])
    })

    it('passes the specs that the upgrade emitted', async () => {
      const config = join(dir, 'vitest.config.mjs')
      writeFileSync(config, 'export default {}\n')
      const vitest = join(REPOSITORY, 'node_modules', 'vitest', 'vitest.mjs')
      const args = [vitest, 'run', '--root', current, '--config', config, ...SPEC_TIMEOUTS, ...ONE_PROCESS]
      const { stdout } = await run(current, process.execPath, args, { env: env() })
      expect(stdout).toMatch(/Test Files +\d+ passed \(\d+\)/)
    })
  })

  it('a new worker that starts before the migrations says so, and finishes the old rows after them', async () => {
    url = copy
    worker = await start(current)
    const refusal = 'The sweep failed and will be retried: This database has no column ended_at'
    await withLogs(eventually(refusal, async () => worker.log().includes(refusal)))
    await prisma(current, ['migrate', 'deploy'], { env: env() })
    await release('killed')
    await settled()
    await expectBooked('waiting', 2)
    expect(await booked('killed held')).toEqual([{ run: 2, pid: worker.pid }])
    expect(await booked('killed held payment')).toEqual([{ run: 2, pid: worker.pid }])
    expect(await booked('failing')).toEqual([{ run: 2, pid: worker.pid }])
    expect(await booked('failing payment')).toEqual([{ run: 2, pid: worker.pid }])
    const { toasts, reports } = await play(current, 'read')
    expect(toasts).toMatchObject({ 'oat.lunch failing': { oat: 'failing' }, 'oat.supper killed': { oat: 'killed' } })
    expect(reports).toMatchObject({ waiting: { month: 'waiting' } })
    expect(problems(worker).filter((line) => !line.includes('npx prisma migrate deploy'))).toEqual([])
  })

  const env = () => ({ DATABASE_URL: url, ATTEMPT_KEY })

  const sql = (text: string, values?: unknown[]) => query(url, text, values)

  const play = (host: string, scene: string, ...args: (string | number)[]) => playScene(host, env(), scene, ...args)

  function placeHost(host: string) {
    cpSync(join(stored, 'app'), host, { recursive: true })
    renameSync(join(host, 'gitignore'), join(host, '.gitignore'))
  }

  async function generateFreshHost() {
    assembleHost('single', fresh)
    for (const args of generators) await asyncGen(fresh, [...args, '--yes'])
  }

  /** Starts a worker of a host, and waits until it works. */
  async function start(host: string) {
    const started = startWorker(host, env())
    workers.push(started)
    const working = () => sql('SELECT FROM async_workers WHERE pid = $1 AND pool_id IS NOT NULL', [started.pid])
    await withLogs(eventually('a worker', async () => (await working()).length > 0))
    return started
  }

  async function kill(running: WorkerProcess) {
    running.kill('SIGKILL')
    await running.exited
  }

  /** Waits until that worker runs the two calls and the toast of a scene `hold`. */
  async function waiting(label: string, by: WorkerProcess) {
    const runs = () =>
      sql(`SELECT DISTINCT call FROM "Entry" WHERE starts_with(call, $1) AND call LIKE '% waits' AND pid = $2`, [
        `${label} `,
        by.pid,
      ])
    await withLogs(eventually(`the held calls of ${label}`, async () => (await runs()).length === 3))
  }

  /** Lets the runs of a scene `hold` end, and waits for that. */
  async function release(label: string) {
    await sql(`INSERT INTO "Entry" (call, run, pid) VALUES ('release', 0, 0)`)
    const isLeft = `SELECT FROM attempts WHERE method = 'hold' AND status <> 'succeeded' UNION ALL
      SELECT FROM payment_attempts WHERE method = 'hold' AND status <> 'succeeded' UNION ALL
      SELECT FROM toasts WHERE name = 'oat.supper' AND cached_at IS NULL`
    await withLogs(eventually(`the end of what held ${label}`, async () => (await sql(isLeft)).length === 0))
    await sql(`DELETE FROM "Entry" WHERE call = 'release'`)
  }

  /** Waits until nothing is left to be done within a day, but what a scene `hold` holds. */
  async function settled(held: string[] = []) {
    const isLeft = `
      SELECT 'attempt ' || id AS what FROM attempts
      WHERE status IN ('pending', 'running') AND scheduled_at < now() + interval '1 day' AND method <> ALL ($1) UNION ALL
      SELECT 'payment ' || id FROM payment_attempts
      WHERE status IN ('pending', 'running') AND scheduled_at < now() + interval '1 day' AND method <> ALL ($1) UNION ALL
      SELECT name FROM toasts WHERE (refresh_at IS NOT NULL OR cached_at IS NULL) AND (name <> 'oat.supper' OR $1 = '{}')`
    const left = () => sql(isLeft, [held.length > 0 ? ['hold'] : []])
    await withLogs(
      eventually('the end of all that is due', async () => (await left()).length === 0),
      left,
    )
  }

  async function withLogs(waited: Promise<unknown>, left?: () => Promise<unknown>) {
    await waited.catch(async (error: Error) => {
      const logs = workers.map(({ pid, log }) => `worker ${pid}:\n${log()}`)
      throw new Error([error.message, JSON.stringify(await left?.()), ...logs].join('\n'))
    })
  }

  const booked = (call: string) => sql('SELECT run, pid FROM "Entry" WHERE call = $1', [call])

  /** All that the scene `record` has recorded under the label was booked once. */
  async function expectBooked(label: string, number: number) {
    const entries = await sql(
      `SELECT call, count(*)::int FROM "Entry" WHERE starts_with(call, $1 || ' ') AND call NOT LIKE '%waits' GROUP BY 1`,
      [label],
    )
    const kinds = ['within', 'plain', 'paid', 'retried', 'later']
    const calls = kinds.flatMap((kind) => Array.from({ length: number }, (_, i) => `${label} ${kind} ${i}`))
    const expected = [...calls, `${label} once`].map((call) => ({ call, count: 1 }))
    const byCall = (rows: { call: string }[]) => rows.toSorted((a, b) => a.call.localeCompare(b.call))
    expect(byCall(entries as { call: string }[])).toEqual(byCall(expected))
  }

  async function leftovers() {
    const calls = await sql(`
      SELECT args->>0 AS call FROM attempts WHERE status IN ('pending', 'running') UNION ALL
      SELECT 'a payment' FROM payment_attempts WHERE status IN ('pending', 'running')`)
    const jobs = await sql('SELECT task_identifier FROM graphile_worker.jobs ORDER BY 1')
    const toasts = await sql(
      'SELECT name FROM toasts WHERE refresh_at IS NOT NULL OR locked_by IS NOT NULL OR failures > 0',
    )
    return {
      calls: calls.map(({ call }) => call),
      jobs: jobs.map(({ task_identifier }) => task_identifier),
      toasts: toasts.map(({ name }) => name),
    }
  }
})

/** What a worker has logged as an error or a warning, beside the failures that the test causes. */
function problems({ log }: WorkerProcess) {
  return log()
    .split('\n')
    .filter((line) => /"level":"(error|warning)"/.test(line) && !/"event":"(run|refresh)"|"rescued":/.test(line))
}

/** Every file that the developers of a host commit, with its text. */
function filesOf(host: string) {
  const entries = readdirSync(host, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const committed = files.filter((file) => !file.includes('/src/generated/'))
  return Object.fromEntries(committed.map((file) => [file, readFileSync(file, 'utf8')]))
}

/** The migrations of a host that async-gen has emitted, by name, in their order. */
function migrationsOf(host: string): Record<string, string> {
  const folders = join(host, 'prisma', 'migrations')
  const names = readdirSync(folders).filter((name) => /^\d+_(?!init|add_entries)/.test(name))
  return Object.fromEntries(
    names.sort().map((name) => [name.replace(/^\d+_/, ''), readFileSync(join(folders, name, 'migration.sql'), 'utf8')]),
  )
}

/** All that a database defines, but for Graphile Worker's and Prisma's own. */
async function catalogOf(url: string) {
  const inOurs = `relnamespace = 'public'::regnamespace AND relname <> '_prisma_migrations'`
  return await query(
    url,
    `
    SELECT 'column' AS kind, relname || '.' || attname AS name, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull,
      pg_get_expr(adbin, adrelid)) AS text
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped AND ${inOurs}
    UNION ALL
    SELECT 'index', relname, pg_get_indexdef(pg_class.oid) FROM pg_class WHERE relkind = 'i' AND relname <> '_prisma_migrations_pkey' AND ${inOurs}
    UNION ALL
    SELECT 'constraint', conname, pg_get_constraintdef(pg_constraint.oid)
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE ${inOurs}
    UNION ALL
    SELECT 'trigger', relname || '.' || tgname, pg_get_triggerdef(pg_trigger.oid)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal AND ${inOurs}
    UNION ALL
    SELECT 'function', proname, pg_get_functiondef(oid) || coalesce(array_to_string(proacl, ' '), '')
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'type', typname, string_agg(enumlabel, ' ' ORDER BY enumsortorder)
    FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid GROUP BY typname
    ORDER BY 1, 2`,
  )
}
