import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from './eventually.js'
import { assembleHost, asyncGen, installedAsyncGen, installHost, type Shape } from './host.js'
import { createDatabase, query } from './postgres.js'
import { prisma } from './prisma.js'
import { run, SPEC_TIMEOUTS } from './run.js'
import { addTeamFiles, applyEdit, closeStages, edits, playScene } from './team.js'
import { startWorker, type WorkerProcess } from './worker.js'

const GENERATORS = [['install'], ['attempt'], ['reports', 'MonthlySales']]

const TITLES = {
  single: 'the shop with a single schema file',
  folder: 'the shop with a schema folder',
  'prisma-6': 'the shop on Prisma 6 with the generator prisma-client',
  'prisma-6-js': 'the shop on Prisma 6 with the generator prisma-client-js',
}

/** Compares the database with the schema. */
const DIFF = {
  single: ['--from-config-datasource', '--to-schema', 'prisma/schema.prisma'],
  folder: ['--from-config-datasource', '--to-schema', 'prisma/schema'],
  'prisma-6': ['--from-schema-datasource', 'prisma/schema.prisma', '--to-schema-datamodel', 'prisma/schema.prisma'],
  'prisma-6-js': ['--from-schema-datasource', 'prisma/schema.prisma', '--to-schema-datamodel', 'prisma/schema.prisma'],
}

/**
 * The whole way of a team: an application on which nothing was generated, what npm would publish installed in it, three
 * generators, migrations, its own lines, and a worker. The tests are the steps of it, in this order.
 */
export function describeMainJob(shape: Shape) {
  // Where the schema stands makes no difference to these. The matrix of hosts runs the specs of folder schemas.
  const itOnce = it.runIf(shape === 'single')
  // Nor does it to a program that has started. Single runs the one that is installed, and the others what it was packed from.
  const asUser = shape === 'folder' ? asyncGen : installedAsyncGen

  describe(TITLES[shape], () => {
    const dir = mkdtempSync(join(tmpdir(), `async-gen-${shape}-`))
    let url: string
    let env: { DATABASE_URL: string }
    let worker: WorkerProcess | undefined

    beforeAll(async () => {
      url = await createDatabase(inject('postgres'))
      env = { DATABASE_URL: url }
      assembleHost(shape, dir)
      await installHost(dir)
    }, 600_000)

    afterAll(async () => {
      await closeStages()
      await worker?.stop()
      rmSync(dir, { recursive: true, force: true })
    })

    describe('the generators', () => {
      const generated = [
        'src/async/database.ts',
        'src/async/toasts.ts',
        'src/async/worker.ts',
        'src/async/tasks/refresh_toast.ts',
        'src/async/tasks/sweep.ts',
        'src/async/attempt.ts',
        'src/async/targets.ts',
        'src/async/attempt.factory.ts',
        'src/async/tasks/attempt.ts',
        'src/async/tasks/attempt_batch.ts',
        'src/async/report.ts',
        'src/async/report.factory.ts',
        'src/async/reports/monthly_sales.ts',
        'src/async/tasks/refresh_report.ts',
      ]

      it('A16, T14: write models, tasks, factories, specs and their migrations', async () => {
        const before = Object.keys(snapshot(dir))
        for (const args of GENERATORS) await asUser(dir, args)
        const created = Object.keys(snapshot(dir)).filter((file) => !before.includes(file))

        expect(created).toEqual(expect.arrayContaining(generated))
        expect(created.filter((file) => file.startsWith('src/async/test/')).length).toBeGreaterThanOrEqual(3)
        const migrations = created.flatMap(
          (file) => file.match(/^prisma\/migrations\/\d{14}_(\w+)\/migration.sql$/)?.[1] ?? [],
        )
        expect(migrations).toEqual([
          'create_toasts',
          'extend_toasts',
          'create_attempts',
          'extend_attempts',
          'create_reports',
        ])
      })

      itOnce('name in package.json what they need, in the versions that fit together', async () => {
        const { dependencies, scripts } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
        expect(Object.keys(dependencies)).toEqual(expect.arrayContaining(['@async-gen/runtime', 'graphile-worker']))
        expect(scripts['async:worker']).toBe('async-gen-worker run src/async/worker.ts')

        const { stdout } = await run(dir, 'npm', ['ls', '--json', '--depth=0'], { exitCodes: [0, 1] })
        const installed: Record<string, { invalid?: string; missing?: boolean }> = JSON.parse(stdout).dependencies
        for (const name of Object.keys(dependencies)) {
          expect(installed[name], name).toMatchObject({ version: expect.any(String) })
          expect(installed[name], name).not.toHaveProperty('invalid')
        }
      })

      it('change nothing when they run again', async () => {
        const before = snapshot(dir)
        for (const args of GENERATORS) {
          const { stdout } = await asyncGen(dir, args)
          expect(stdout).toMatch(/^ *identical /m)
          expect(stdout).not.toMatch(/^ *(create|update) /m)
        }
        expect(snapshot(dir)).toEqual(before)
      })

      it('leave a schema that is valid, and migrations that make exactly that schema', async () => {
        // It refuses a schema that is not valid.
        await prisma(dir, ['generate'], { env })
        await prisma(dir, ['migrate', 'deploy'], { env })
        const { stdout } = await prisma(dir, ['migrate', 'diff', ...DIFF[shape], '--exit-code'], { env })
        expect(stdout).toContain('No difference detected')
      })

      // The others compile with the lines of the team.
      itOnce('write TypeScript that compiles under --strict', async () => {
        await tsc()
      })

      itOnce('A16, T14: write specs that pass as they are', async () => {
        const { stdout } = await run(dir, program('vitest'), ['run', ...SPEC_TIMEOUTS], { env })
        expect(stdout).toMatch(/Test Files +\d+ passed \(\d+\)/)
        expect(stdout).not.toMatch(/skipped/)
      })

      it('leave the rest to a few lines of the team, which compile under --strict', async () => {
        addTeamFiles(dir)
        for (const edit of edits) applyEdit(dir, edit)
        await tsc()
      })

      itOnce('keep those lines when they run again', async () => {
        const before = snapshot(dir)
        for (const args of GENERATORS) await asyncGen(dir, args)
        expect(snapshot(dir)).toEqual(before)
      })
    })

    describe('attempts', () => {
      itOnce('A1: a transaction that rolls back leaves neither the order nor the call', async () => {
        expect(await play('place-order', 1, 'decline')).toEqual({ error: 'The card was declined' })
        expect(await rows('SELECT 1 FROM "Order"')).toEqual([])
        expect(await rows('SELECT 1 FROM attempts')).toEqual([])
      })

      it('A1, A8, P4: a transaction that commits gets its call made by a worker that is started later, and its result stored', async () => {
        const { attempt } = await play('place-order', 2)
        expect(await play('read-attempt', attempt)).toMatchObject({ status: 'pending', numAttempts: 0 })

        worker = startWorker(dir, env)
        expect(await ended(attempt)).toEqual({
          status: 'succeeded',
          numAttempts: 1,
          result: { orderNumber: 2, carrier: 'bicycle' },
          errors: [],
        })
        expect(await rows('SELECT number, status FROM "Order"')).toEqual([{ number: 2, status: 'fulfilled' }])
        expect(await rows('SELECT "orderNumber" FROM "Shipment"')).toEqual([{ orderNumber: 2 }])
      })

      itOnce(
        'A1: a call is queued in the transaction that records it, and a rollback takes it out of the queue',
        async () => {
          // The worker of the test before has made Graphile Worker's tables; while none runs, jobs stay to be looked at.
          await worker?.stop()
          const jobs = `SELECT key FROM graphile_worker.jobs WHERE task_identifier = 'attempt'`

          await play('place-order', 3, 'decline')
          expect(await rows(jobs)).toEqual([])
          const { attempt } = await play('place-order', 3)
          expect(await rows(jobs)).toEqual([{ key: `attempt:${attempt}` }])

          worker = startWorker(dir, env)
          expect(await ended(attempt)).toMatchObject({ status: 'succeeded', numAttempts: 1 })
        },
      )

      itOnce(
        'A8, A9, P5: a call that fails takes back what it wrote, its error is stored, and it is made again',
        async () => {
          const { attempt } = await play('ship-order', 2)
          const { errors, ...rest } = await ended(attempt)
          expect(rest).toMatchObject({ status: 'succeeded', numAttempts: 2 })
          expect(errors).toEqual([
            expect.objectContaining({
              number: 1,
              name: 'Error',
              message: 'The van broke down',
              stack: expect.stringContaining('warehouse.ts'),
              cause: expect.objectContaining({ message: 'flat tyre' }),
            }),
          ])
          expect(await rows(`SELECT id FROM "Shipment" WHERE carrier = 'van'`)).toEqual([{ id: rest.result.shipment }])
        },
      )

      itOnce('A15: a call that is scheduled is not made before its time', async () => {
        await rows(`INSERT INTO "Newsletter" (subject) VALUES ('Porridge')`)
        await rows(`INSERT INTO "Subscriber" (email) VALUES ('goldilocks@example.org'), ('bear@example.org')`)
        const { attempt } = await play('schedule-newsletter', 8)
        expect(await play('read-attempt', attempt)).toMatchObject({ status: 'pending', numAttempts: 0 })

        expect(await ended(attempt)).toMatchObject({ status: 'succeeded', result: 2 })
        const [row] = await rows('SELECT started_at >= scheduled_at AS in_time, priority FROM attempts WHERE id = $1', [
          attempt,
        ])
        expect(row).toEqual({ in_time: true, priority: 12 })
      })
    })

    describe('toasts', () => {
      itOnce('T4, T7: the first read gets the placeholder, a later one the value with what it cost', async () => {
        await rows(`INSERT INTO "Oat" (id, name, "updatedAt") VALUES (1, 'Steel cut', now())`)
        expect(await play('breakfast', 1)).toEqual({ error: 'Data not yet available' })

        await refreshed('oat.breakfast')
        const ready = await play('breakfast', 1)
        expect(ready).toMatchObject({ oat: 'Steel cut', toppings: [] })
        expect(ready.toastr).toMatchObject({ elapsed: expect.any(Number), cached_at: expect.any(String) })
      })

      itOnce(
        'T5, T6: when its parent has changed, the old value is served while the worker refreshes it, then the new one',
        async () => {
          await play('add-topping', 1, 'Blueberries')
          expect(await play('breakfast', 1)).toMatchObject({ toppings: [], toastr: { stale: true } })

          await refreshed('oat.breakfast')
          expect(await play('breakfast', 1)).toMatchObject({ oat: 'Steel cut', toppings: ['Blueberries'] })
        },
      )
    })

    describe('reports', () => {
      itOnce('T15: one for each type and key, whatever the order of the keys; the worker builds it', async () => {
        const first = await play('monthly-sales')
        expect(first.sameId).toBe(first.id)
        expect(first.built).toEqual({ error: 'Data not yet available' })

        await refreshed('MonthlySales.build')
        const { built } = await play('monthly-sales')
        const [{ total }] = await rows('SELECT sum("totalCents")::int AS total FROM "Order"')
        expect(built).toMatchObject({ month: 'January', total })
        expect(await rows('SELECT count(*)::int AS reports FROM reports')).toEqual([{ reports: 1 }])
      })

      itOnce('T15: it is the same one for a program whose classes a bundler has renamed', async () => {
        const bundle = ['--bundle', '--minify', '--platform=node', '--format=esm', '--packages=external']
        await run(dir, program('esbuild'), ['src/scenes/monthly-sales.ts', ...bundle, '--outfile=bundle.mjs'])
        const { stdout } = await run(dir, process.execPath, ['bundle.mjs'], { env })
        const { id } = await play('monthly-sales')
        expect(JSON.parse(stdout)).toMatchObject({ id, built: { total: 8400 } })
      })
    })

    itOnce('npm run async:worker is that worker', async () => {
      const { stdout } = await run(dir, 'npm', ['run', '--silent', 'async:worker', '--', '--once'], { env })
      expect(stdout).toMatch(/"message":"Stopped after [^"]+: 0 succeeded/)
    })

    it('the worker ends by itself, and in order, when it is told to', async () => {
      expect(await worker?.stop(), worker?.log()).toBe(0)
    })

    describe.runIf(shape.startsWith('prisma-6'))('the commands that read what was generated', () => {
      it('doctor finds no problem in the project and its database', async () => {
        const { stdout } = await installedAsyncGen(dir, ['doctor', '--json'], { env, exitCodes: [0, 1, 5] })
        expect(JSON.parse(stdout)).toMatchObject({ findings: [], unchecked: [] })
      })

      it('destroy removes the models, and the schema stays valid', async () => {
        for (const generator of ['reports', 'attempt', 'install'])
          await installedAsyncGen(dir, ['destroy', generator, '--migration', 'drop', '--yes'], { env })
        await prisma(dir, ['migrate', 'deploy'], { env })
        const { stdout } = await prisma(dir, ['migrate', 'diff', ...DIFF[shape], '--exit-code'], { env })
        expect(stdout).toContain('No difference detected')
        expect(await rows(`SELECT to_regclass('attempts') AS attempts, to_regclass('toasts') AS toasts`)).toEqual([
          { attempts: null, toasts: null },
        ])
      })
    })

    const rows = (sql: string, parameters?: unknown[]) => query(url, sql, parameters)

    const tsc = () => run(dir, program('tsc'), ['--noEmit', '--strict', '--singleThreaded'])

    const program = (name: string) => join(dir, 'node_modules', '.bin', name)

    const play = (scene: string, ...args: (string | number)[]) => playScene(dir, env, scene, ...args)

    /** The attempt once it has ended. */
    async function ended(id: number) {
      const left = () => rows(`SELECT FROM attempts WHERE id = $1 AND status IN ('pending', 'running')`, [id])
      await waitFor(`the end of attempt ${id}`, async () => (await left()).length === 0)
      return await play('read-attempt', id)
    }

    async function refreshed(toast: string) {
      const due = () =>
        rows('SELECT FROM toasts WHERE name = $1 AND (refresh_at IS NOT NULL OR cached_at IS NULL)', [toast])
      await waitFor(`the refresh of ${toast}`, async () => (await due()).length === 0)
    }

    /** Fails with what the worker has said meanwhile. */
    async function waitFor<T>(what: string, ask: () => Promise<T>) {
      return eventually(what, ask).catch((error: Error) => {
        throw new Error(`${error.message} The worker's log:\n${worker?.log()}`)
      })
    }
  })
}

/** Every file of a host that its developers commit, with a hash of its text. */
function snapshot(dir: string) {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
  const committed = files.filter((file) => !/^(node_modules|src\/generated)\//.test(file)).sort()
  return Object.fromEntries(
    committed.map((file) => [
      file,
      createHash('sha256')
        .update(readFileSync(join(dir, file)))
        .digest('hex'),
    ]),
  )
}
