import { mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { type DoctorRequest, doctor } from '../../generators/commands/doctor/doctor.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import { version } from '../../generators/host/own-package.js'
import { REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { generatedHost, type SampleHost, sampleHost } from './sample-host.js'

const RUNTIME = { 'node_modules/@async-gen/runtime/package.json': JSON.stringify({ version }) }
const WORKER = { 'node_modules/graphile-worker/package.json': '{ "version": "0.17.3" }' }

describe('doctor finds nothing', () => {
  it('in a host that is as it was generated', async () => {
    expect(await diagnosis(await installed())).toMatchObject({ findings: [], healthy: true })
  })
})

describe('doctor finds, and says what to do:', () => {
  it.each([
    ['another major of Prisma', 'PRISMA_MAJOR', { 'node_modules/prisma/package.json': '{ "version": "5.1.0" }' }],
    ['an early Prisma 6', 'PRISMA_VERSION', { 'node_modules/prisma/package.json': '{ "version": "6.15.0" }' }],
    ['another database', 'PROVIDER', { 'prisma/schema.prisma': 'datasource db {\n  provider = "mysql"\n}\n' }],
    ['no package.json', 'NO_PACKAGE_JSON', { 'package.json': null }],
    ['nothing installed', 'NOT_INSTALLED', {}],
  ])('%s', async (_what, code, files) => {
    const host = sampleHost(files as Record<string, string | null>)
    const { findings, healthy } = await diagnosis(host)
    expect(findings.map((finding) => finding.code)).toEqual([code])
    expect(findings[0]!.remedy).not.toBe('')
    expect(healthy).toBe(false)
  })

  it('a migration that was edited', async () => {
    const host = await installed()
    const path = host.files().find((file) => file.endsWith('migration.sql'))!
    host.write(path, `${host.read(path)}-- more\n`)
    expect(await found(host)).toEqual([{ code: 'MIGRATION_EDITED', where: path }])
  })

  it('the markers of a merge that was not finished', async () => {
    const host = await installed()
    host.write('src/async/worker.ts', '<<<<<<< yours\na\n=======\nb\n>>>>>>> async-gen\n')
    expect(await found(host)).toEqual([{ code: 'LEFTOVER_MARKERS', where: 'src/async/worker.ts' }])
  })

  it('two lock files', async () => {
    const host = await installed({ 'package-lock.json': '{}', 'pnpm-lock.yaml': '' })
    expect(await found(host)).toEqual([{ code: 'LOCK_FILES', where: host.root }])
  })

  it('two files that are one task', async () => {
    const host = await installed()
    host.write('src/async/tasks/sweep.js', 'export default () => {}\n')
    expect(await found(host)).toEqual([{ code: 'TASK_TWICE', where: 'src/async/tasks/sweep.ts' }])
  })

  it('files that a prerelease of this version wrote', async () => {
    const host = await installed()
    const manifest = JSON.parse(host.read('.async-gen/manifest.json'))
    host.write('.async-gen/manifest.json', JSON.stringify({ ...manifest, asyncGen: `${version}-rc.1` }))
    expect(await found(host)).toEqual([{ code: 'BEHIND', where: undefined }])
  })

  it('a client that has gone', async () => {
    const host = await installed()
    host.remove('src/db.ts')
    expect(await found(host)).toEqual([{ code: 'CLIENT_GONE', where: 'src/async/database.ts' }])
  })

  it('a version of Node that async-gen does not support', async () => {
    const host = await installed()
    for (const [node, codes] of [
      ['18.20.8', ['NODE_VERSION']],
      ['20.18.0', ['NODE_VERSION']],
      ['20.19.0', []],
      ['21.7.0', ['NODE_VERSION']],
      ['22.12.0', []],
      ['23.11.0', ['NODE_VERSION']],
      ['24.0.0', []],
    ] as const) {
      onNode(node)
      expect(
        (await found(host)).map(({ code }) => code),
        node,
      ).toEqual(codes)
    }
  })

  it('a Graphile Worker that is too old, too new, or for another Node, and how to get one that fits', async () => {
    const newer = await installed({ 'node_modules/graphile-worker/package.json': '{ "version": "0.18.0" }' })
    const later = await installed({ 'node_modules/graphile-worker/package.json': '{ "version": "0.19.0" }' })
    const older = await installed({ 'node_modules/graphile-worker/package.json': '{ "version": "0.16.6" }' })
    expect(await found(older)).toEqual([{ code: 'WORKER_VERSION', where: 'package.json' }])
    onNode('20.19.0')
    expect((await diagnosis(newer)).findings).toMatchObject([{ code: 'WORKER_NODE', severity: 'error' }])
    expect((await diagnosis(later)).findings).toMatchObject([
      { code: 'WORKER_VERSION', remedy: 'npm install graphile-worker@^0.17.3 (0.18 needs Node 22.18)' },
    ])
    onNode('22.18.0')
    expect(await found(newer)).toEqual([])
    expect((await diagnosis(later)).findings).toMatchObject([
      { code: 'WORKER_VERSION', remedy: 'npm install graphile-worker@^0.18.0' },
    ])
  })

  it('a prisma and a @prisma/client of different majors', async () => {
    const host = await installed({ 'node_modules/@prisma/client/package.json': '{ "version": "6.19.3" }' })
    const { findings } = await diagnosis(host)
    expect(findings).toMatchObject([
      { code: 'PRISMA_CLIENT_VERSION', remedy: expect.stringMatching(/^npm install @prisma\/client@7\./) },
    ])
  })

  it('a Prisma that needs a later Node', async () => {
    const later = JSON.stringify({ version: '7.99.0', engines: { node: '>=22.18.0' } })
    const host = await installed({ 'node_modules/prisma/package.json': later }, ['@prisma/config'])
    onNode('22.12.0')
    const { findings } = await diagnosis(host)
    expect(findings.filter(({ code }) => code === 'PRISMA_NODE')).toMatchObject([
      { message: 'prisma 7.99.0 needs Node >=22.18.0. This is Node 22.12.0.', severity: 'warning' },
    ])
    onNode('22.18.0')
    expect((await found(host)).map(({ code }) => code)).not.toContain('PRISMA_NODE')
  })

  it('a test runner that this Node cannot run, and as a note one that is not tested', async () => {
    const vitest = (version: string, node: string) => ({
      'node_modules/vitest/package.json': JSON.stringify({ version, engines: { node } }),
    })
    const newest = await installed(vitest('5.1.1', '^22.12.0 || ^24.0.0 || >=26.0.0'))
    onNode('20.19.0')
    expect((await diagnosis(newest)).findings).toMatchObject([{ code: 'TEST_RUNNER_NODE', severity: 'error' }])
    onNode('24.1.0')
    expect(await found(newest)).toEqual([])
    const old = await installed(vitest('3.2.4', '^18.0.0 || ^20.0.0 || >=22.0.0'))
    expect(await diagnosis(old)).toMatchObject({
      findings: [{ code: 'TEST_RUNNER_VERSION', severity: 'note', message: expect.stringContaining('vitest 4 and 5') }],
      healthy: true,
    })
  })

  it('a Node on which Prisma does not run with Plug’n’Play, and a client in node_modules', async () => {
    const host = await installed({ 'yarn.lock': '', '.pnp.cjs': '' })
    onNode('22.18.0')
    expect(await found(host)).toEqual([{ code: 'PNP_NODE', where: undefined }])
    onNode('24.1.0')
    expect(await found(host)).toEqual([])
    const schema = host.read('prisma/schema.prisma')
    const inside = schema.replace('"prisma-client"', '"prisma-client-js"').replace(/ {2}output .*\n/, '')
    host.write('prisma/schema.prisma', inside)
    expect(await found(host)).toEqual([{ code: 'PNP_CLIENT', where: 'prisma/schema.prisma' }])
  })

  it('packages that are not installed, and a runtime of another version', async () => {
    const none = await installed()
    none.remove('node_modules/@async-gen')
    none.remove('node_modules/graphile-worker')
    const { findings } = await diagnosis(none)
    expect(findings.map(({ code }) => code)).toEqual(['PACKAGE_NOT_INSTALLED', 'PACKAGE_NOT_INSTALLED'])
    // The registry has no runtime yet.
    for (const { remedy } of findings) expect(remedy).toMatch(/^npm install \S+async-gen-runtime-\S+\.tgz /)
    const old = await installed({ 'node_modules/@async-gen/runtime/package.json': '{ "version": "0.0.1" }' })
    expect(await found(old)).toEqual([{ code: 'RUNTIME_VERSION', where: 'package.json' }])
  })

  it('a package.json that has lost what install put in, which --fix puts back', async () => {
    const host = await installed()
    host.write('package.json', JSON.stringify({ type: 'module', dependencies: { prisma: '7' } }))
    expect((await found(host)).map(({ code }) => code)).toEqual(['PACKAGE_NOT_NAMED', 'PACKAGE_NOT_NAMED'])
    expect(await diagnosis(host, { fix: true })).toMatchObject({
      healthy: true,
      findings: [{ severity: 'fixed' }, { severity: 'fixed' }],
    })
    expect(await found(host)).toEqual([])
  })

  it('partial indexes that the schema does not declare, which an upgrade does', async () => {
    const host = await installed()
    const schema = host.read('prisma/schema.prisma')
    const preview = '"prisma-client"\n  previewFeatures = ["partialIndexes"]'
    host.write('prisma/schema.prisma', schema.replace('"prisma-client"', preview))
    expect(await found(host)).toEqual([{ code: 'INDEXES_UNDECLARED', where: 'prisma/schema.prisma' }])
    await upgrade({ cwd: host.root })
    expect(await found(host)).toEqual([])
  })

  it('a run that was interrupted, which --fix ends', async () => {
    const host = await installed()
    host.write('.async-gen/journal.json', JSON.stringify({ pid: 2 ** 30, ready: false, steps: [], folders: [] }))
    expect(await found(host)).toEqual([{ code: 'INTERRUPTED', where: '.async-gen/journal.json' }])
    expect((await diagnosis(host, { fix: true })).findings).toMatchObject([{ code: 'INTERRUPTED', severity: 'fixed' }])
    expect(await found(host)).toEqual([])
  })
})

describe('doctor finds in the database', () => {
  it('nothing where the migrations have run', async () => {
    const { host, url } = await migrated()
    expect(await found(host, { databaseUrl: url })).toEqual([])
  })

  it('migrations that have not run', async () => {
    const url = await createDatabase(inject('postgres'))
    const host = await installed({}, ['pg'])
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([
      {
        code: 'MIGRATION_PENDING',
        message: expect.stringMatching(
          /^4 migrations have not run: \d+_create_toasts, \d+_extend_toasts, \d+_create_attempts, \d+_extend_attempts\.$/,
        ),
        remedy: 'npx prisma migrate deploy',
      },
    ])
  })

  it('later migrations that have not run', async () => {
    const url = await createDatabase(inject('postgres'))
    const host = await installed({}, ['pg'])
    for (const path of host.files().filter((file) => /_create_\w+\/migration\.sql$/.test(file)))
      await query(url, host.read(path))
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([
      {
        code: 'MIGRATION_PENDING',
        message: expect.stringMatching(/^2 migrations have not run: \d+_extend_toasts, \d+_extend_attempts\.$/),
      },
    ])
  })

  it('the same with the pg that pnpm hides behind its link to Graphile Worker', async () => {
    const url = await createDatabase(inject('postgres'))
    const host = await installed()
    const store = join(host.root, 'node_modules/.pnpm/graphile-worker@0.17.3/node_modules')
    mkdirSync(store, { recursive: true })
    renameSync(join(host.root, 'node_modules/graphile-worker'), join(store, 'graphile-worker'))
    symlinkSync(join(store, 'graphile-worker'), join(host.root, 'node_modules/graphile-worker'), 'dir')
    symlinkSync(join(REPOSITORY, 'node_modules/pg'), join(store, 'pg'), 'dir')
    expect(await codes(host, url)).toEqual(['MIGRATION_PENDING'])
  })

  it('a trigger that is missing, and one that is disabled', async () => {
    const { host, url } = await migrated()
    await query(url, 'DROP TRIGGER attempts_enqueue_inserted ON attempts')
    await query(url, 'ALTER TABLE attempts DISABLE TRIGGER attempts_enqueue_updated')
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([
      { code: 'TRIGGER_MISSING', message: expect.stringContaining('attempts_enqueue_inserted on attempts') },
      { code: 'TRIGGER_DISABLED', remedy: 'ALTER TABLE "attempts" ENABLE TRIGGER "attempts_enqueue_updated"' },
    ])
  })

  it.each([
    ['COLUMN_MISSING', 'attempts.max_attempts', 'ALTER TABLE attempts DROP COLUMN max_attempts'],
    ['COLUMN_DIFFERS', 'attempts.max_attempts', 'ALTER TABLE attempts ALTER COLUMN max_attempts TYPE bigint'],
    ['COLUMN_DIFFERS', 'toasts.key', 'ALTER TABLE toasts ALTER COLUMN key DROP NOT NULL'],
    ['COLUMN_DIFFERS', 'toasts.task', 'ALTER TABLE toasts ALTER COLUMN task DROP DEFAULT'],
    ['TYPE_DIFFERS', 'attempt_status', `ALTER TYPE attempt_status ADD VALUE 'late'`],
    ['TABLE_MISSING', 'async_workers', 'DROP TABLE async_workers'],
    ['INDEX_MISSING', 'attempts_token', 'DROP INDEX attempts_token'],
    ['INDEX_MISSING', 'toasts_key_name_key', 'DROP INDEX toasts_key_name_key'],
    [
      'INDEX_DIFFERS',
      'attempts_token',
      'DROP INDEX attempts_token; CREATE INDEX attempts_token ON attempts (target, method, idempotence_token) WHERE idempotence_token IS NOT NULL',
    ],
    [
      'INDEX_DIFFERS',
      'attempts_due',
      'DROP INDEX attempts_due; CREATE INDEX attempts_due ON attempts (scheduled_at, id)',
    ],
    ['FUNCTION_MISSING', 'toasts_invalidate', 'DROP FUNCTION toasts_invalidate'],
    [
      'FUNCTION_DIFFERS',
      'attempts_refuse_change',
      'CREATE OR REPLACE FUNCTION attempts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
    ],
    [
      'TRIGGER_DIFFERS',
      'attempts_immutable on attempts',
      'DROP TRIGGER attempts_immutable ON attempts; CREATE TRIGGER attempts_immutable BEFORE UPDATE OF target ON attempts FOR EACH ROW EXECUTE FUNCTION attempts_refuse_change()',
    ],
    [
      'TRIGGER_MISSING',
      'toasts_invalidate_on_update_order on Order',
      'DROP TRIGGER toasts_invalidate_on_update_order ON "Order"',
    ],
  ])('%s: %s', async (code, name, sql) => {
    const { host, url } = await migrated()
    await query(url, sql)
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([{ severity: 'error', code, message: expect.stringMatching(` ${name}[ .]`) }])
  })

  it('one of two triggers of the same name on two tables, as older migrations have them', async () => {
    const { host, url } = await migrated()
    const path = host.files().find((file) => file.endsWith('_invalidate_order_on_order/migration.sql'))!
    const other = host.read(path).replaceAll('"Order"', '"Other"')
    host.write(path, `${host.read(path)}${other}`)
    await query(url, `CREATE TABLE "Other" (id integer PRIMARY KEY);${other}`)
    expect(await codes(host, url)).toEqual(['MIGRATION_EDITED'])
    await query(url, 'DROP TRIGGER toasts_invalidate_on_delete_order ON "Other"')
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toContainEqual(
      expect.objectContaining({
        code: 'TRIGGER_MISSING',
        message: expect.stringContaining('toasts_invalidate_on_delete_order on Other'),
      }),
    )
  })

  it('nothing where a later migration has replaced a function', async () => {
    const { host, url } = await migrated()
    const sql =
      'CREATE OR REPLACE FUNCTION "attempts_enqueue"() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n    RETURN NULL; -- mine; really\nEND;\n$$;\n'
    host.write('prisma/migrations/29990101000000_quiet/migration.sql', sql)
    expect(await codes(host, url)).toEqual(['MIGRATION_PENDING'])
    await query(url, sql)
    expect(await codes(host, url)).toEqual([])
  })

  it('what a migration of the host has dropped: Prisma writes such a migration without knowing', async () => {
    const { host, url } = await migrated()
    const sql = 'DROP INDEX "attempts_token";\n'
    host.write('prisma/migrations/29990101000000_drift/migration.sql', sql)
    await query(url, sql)
    expect(await codes(host, url)).toEqual(['INDEX_MISSING'])
  })

  it('what is missing of migrations that have been squashed', async () => {
    const { host, url } = await migrated()
    for (const path of host.files().filter((file) => file.endsWith('/migration.sql'))) host.remove(path)
    expect(await codes(host, url)).toEqual([])
    await query(url, 'DROP TRIGGER attempts_immutable ON attempts')
    expect(await codes(host, url)).toEqual(['TRIGGER_MISSING'])
  })

  it('a migration that began and did not finish, by Prisma’s record', async () => {
    const { host, url } = await migrated()
    const folder = host
      .files()
      .find((file) => file.endsWith('_create_attempts/migration.sql'))!
      .split('/')[2]!
    await query(url, PRISMA_MIGRATIONS)
    await query(url, 'INSERT INTO _prisma_migrations (migration_name) VALUES ($1)', [folder])
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([{ code: 'MIGRATION_FAILED', remedy: expect.stringContaining('--rolled-back') }])
  })

  it('nothing in the schema that the URL names', async () => {
    const { host, url } = await migrated('tenant')
    expect(await codes(host, `${url}?schema=tenant`)).toEqual([])
    expect(await codes(host, url)).toEqual(['MIGRATION_PENDING'])
  })

  it('toasts that fail, with their error', async () => {
    const { host, url } = await migrated()
    await query(
      url,
      `INSERT INTO toasts (name, key, failures, error)
       SELECT 'oat.breakfast', n::text, n, '{ "message": "no milk" }' FROM generate_series(0, 3) AS n`,
    )
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([
      {
        code: 'TOASTS_FAILING',
        message: expect.stringMatching(/^3 toasts of oat\.breakfast .* 3 failed tries .*: no milk$/),
      },
    ])
  })

  it('pauses in force, as notes that leave the exit code alone', async () => {
    const { host, url } = await migrated()
    await query(
      url,
      `INSERT INTO async_pauses (model, target, method, until, reason, created_at) VALUES
        ('Attempt', '*', '*', NULL, NULL, '2026-11-26Z'),
        ('Attempt', 'OrderClient', 'fulfill', '2999-01-01Z', 'the warehouse is moving', '2026-11-26Z'),
        ('Attempt', 'a; reboot', '*', NULL, 'it is hostile', '2026-11-26Z'),
        ('Attempt', 'Mail', '*', '2000-01-01Z', 'long ago', '2026-11-26Z')`,
    )
    const { findings, healthy } = await diagnosis(host, { databaseUrl: `${url}?options=-c%20TimeZone%3DUTC` })
    expect(healthy).toBe(true)
    expect(findings).toMatchObject([
      {
        severity: 'note',
        code: 'PAUSED',
        message:
          'All calls of Attempt have been paused since 2026-11-26T00:00:00Z, until they are resumed: no reason was given',
        remedy: 'If they should run: npx async-gen-worker attempts resume --model Attempt',
      },
      {
        severity: 'note',
        code: 'PAUSED',
        message: expect.stringMatching(
          /^The calls of OrderClient\.fulfill \(Attempt\) .*, until 2999-01-01T00:00:00Z: the warehouse is moving$/,
        ),
        remedy: 'If they should run: npx async-gen-worker attempts resume OrderClient.fulfill --model Attempt',
      },
      {
        severity: 'note',
        code: 'PAUSED',
        remedy:
          "If they should run: DELETE FROM async_pauses WHERE model = 'Attempt' AND target = 'a; reboot' AND method = '*';",
      },
    ])
  })

  it('a pause whose model has no attempts, with a statement that removes it', async () => {
    const { host, url } = await migrated()
    await query(
      url,
      `INSERT INTO async_pauses (model, target, method, until) VALUES
        ('attempts', '*', '*', NULL), ('AsyncPause', 'it''s', 'fulfill', 'infinity')`,
    )
    const { findings, healthy } = await diagnosis(host, { databaseUrl: url })
    expect(healthy).toBe(false)
    expect(findings).toMatchObject([
      {
        severity: 'warning',
        code: 'PAUSE_UNMATCHED',
        message: expect.stringMatching(
          /^The pause of it's\.fulfill stops no call: its model is "AsyncPause"\. .* Attempt/,
        ),
      },
      { severity: 'warning', message: expect.stringMatching(/^The pause of all calls stops no call: .* "attempts"/) },
    ])
    for (const { remedy } of findings) await query(url, /DELETE .*;/.exec(remedy)![0])
    expect(await query(url, 'SELECT FROM async_pauses')).toEqual([])
  })

  it('a sequence of Graphile Worker that runs out', async () => {
    const { host, url } = await migrated()
    await query(url, 'CREATE SCHEMA graphile_worker CREATE SEQUENCE jobs_id_seq AS integer')
    await query(url, `SELECT setval('graphile_worker.jobs_id_seq', 2000000000)`)
    expect(await found(host, { databaseUrl: url })).toEqual([
      { code: 'SEQUENCE_HEADROOM', where: 'graphile_worker.jobs_id_seq' },
    ])
  })

  it('a timeout that ends sessions, a pooler, and a pool that is too small', async () => {
    const { host, url } = await migrated()
    const cut = `${url}?options=-c%20idle_session_timeout%3D5000`
    expect(await codes(host, cut)).toEqual(['SESSION_TIMEOUT'])
    expect(await codes(host, `${url}?pgbouncer=true&connection_limit=1`)).toEqual(['POOLER', 'POOL_TOO_SMALL'])
  })

  it("settings that do harm in the PrismaClient's sessions, until the client has others", async () => {
    const { host, url } = await migrated()
    const setting = (options: string) => `${url}?options=${encodeURIComponent(options)}`
    for (const harmful of ['TimeZone=Asia/Tokyo', 'DateStyle=German', 'default_transaction_isolation=serializable'])
      expect(await codes(host, setting(`-c ${harmful}`))).toEqual(['SESSION_SETTING'])
    for (const timeout of ['transaction_timeout=900', 'lock_timeout=900', 'idle_in_transaction_session_timeout=900'])
      expect(await codes(host, setting(`-c ${timeout}`))).toEqual(['SESSION_TIMEOUT'])
    expect(await codes(host, setting('-c TimeZone=Etc/GMT -c IntervalStyle=iso_8601 -c lock_timeout=30000'))).toEqual(
      [],
    )

    const database = `ALTER DATABASE "${new URL(url).pathname.slice(1)}"`
    await query(inject('postgres').url, `${database} SET statement_timeout = '900ms'`)
    expect(await codes(host, url)).toEqual(['SESSION_TIMEOUT'])
    await query(inject('postgres').url, `${database} RESET statement_timeout`)

    const client = host.read('src/db.ts')
    host.write('src/db.ts', `${client}// options: '-c TimeZone=UTC'`)
    expect(await codes(host, setting('-c TimeZone=Asia/Tokyo'))).toEqual([])
  })

  it('that it cannot be reached', async () => {
    const host = await installed({}, ['pg'])
    expect(await codes(host, 'postgres://nobody@127.0.0.1:1/nothing')).toEqual(['DATABASE_UNREACHABLE'])
  })

  it('that it was not looked at, where no variable names it: the one that database.ts reads', async () => {
    const { host, url } = await migrated()
    const unchecked = {
      what: 'database',
      code: 'DATABASE_URL_MISSING',
      remedy: 'Set the variable: DATABASE_URL=postgres://…',
    }
    expect(await diagnosis(host)).toMatchObject({ findings: [], unchecked: [unchecked], healthy: true })
    const file = 'src/async/database.ts'
    host.write(file, host.read(file).replace('process.env.DATABASE_URL', "process.env['SHOP_URL']"))
    expect(await doctor({ cwd: host.root })).toMatchObject({
      unchecked: [{ message: 'The database was not checked: SHOP_URL is not set.' }],
    })
    process.env.SHOP_URL = url
    onTestFinished(() => {
      delete process.env.SHOP_URL
    })
    expect(await doctor({ cwd: host.root })).toMatchObject({ findings: [], unchecked: [], healthy: true })
  })

  it('that it was not looked at, for want of pg', async () => {
    const host = await installed()
    host.write('node_modules/graphile-worker/package.json', '{ "version": "0.17.3" }')
    const { unchecked } = await diagnosis(host, { databaseUrl: 'postgres://localhost/shop' })
    expect(unchecked).toMatchObject([{ code: 'PG_MISSING' }])
  })

  /** Everything generated, and its database with all migrations: in `public`, or in the schema that is named. */
  async function migrated(schema = 'public') {
    const host = await generatedHost(
      [
        ['install'],
        ['attempt'],
        ['install', [], { invalidateOn: ['Order'] }],
        ['attempt', ['EmailAttempt']],
        ['reports'],
      ],
      { ...RUNTIME, ...WORKER },
      { packages: ['pg'] },
    )
    const template = `doctor_${schema}`
    if (!templates.has(template))
      await migrate(await createDatabase(inject('postgres'), { name: template }), host, schema)
    templates.add(template)
    return { host, url: await createDatabase(inject('postgres'), { template }) }
  }

  /** Databases with all migrations, which the tests copy. */
  const templates = new Set<string>()

  async function migrate(url: string, host: SampleHost, schema: string) {
    const place = `CREATE SCHEMA IF NOT EXISTS ${schema}; SET search_path TO ${schema};`
    const sql = host.files().filter((file) => file.endsWith('migration.sql'))
    const all = sql.sort((a, b) => Number(a.includes('_invalidate_')) - Number(b.includes('_invalidate_')))
    await query(url, [place, 'CREATE TABLE "Order" (id integer PRIMARY KEY);', ...all.map(host.read)].join('\n'))
  }

  async function codes(host: SampleHost, databaseUrl: string) {
    return (await found(host, { databaseUrl })).map(({ code }) => code)
  }
})

/** Has `process.versions.node` be another version until the end of the test. */
function onNode(node: string) {
  const versions = Object.getOwnPropertyDescriptor(process, 'versions')!
  Object.defineProperty(process, 'versions', { ...versions, value: { ...process.versions, node } })
  onTestFinished(() => void Object.defineProperty(process, 'versions', versions))
}

function installed(files: Record<string, string> = {}, packages: string[] = []) {
  return generatedHost([['install'], ['attempt']], { ...RUNTIME, ...WORKER, ...files }, { packages })
}

const PRISMA_MIGRATIONS = `CREATE TABLE _prisma_migrations (
  migration_name text NOT NULL, finished_at timestamptz, rolled_back_at timestamptz
)`

/** Without a database, unless one is named. */
function diagnosis(host: SampleHost, request: Partial<DoctorRequest> = {}) {
  return doctor({ cwd: host.root, databaseUrl: '', ...request })
}

async function found(host: SampleHost, request: Partial<DoctorRequest> = {}) {
  const { findings } = await diagnosis(host, request)
  return findings.map(({ code, where }) => ({ code, where }))
}
