import { describe, expect, inject, it } from 'vitest'
import { type DestroyRequest, destroy } from '../../generators/commands/destroy.js'
import { createDatabase, query } from '../support/postgres.js'
import {
  folderHost,
  type GeneratorRun,
  generatedHost,
  lines,
  type SampleHost,
  SCHEMA,
  sampleHost,
} from './sample-host.js'

const EVERYTHING: GeneratorRun[] = [
  ['install'],
  ['attempt'],
  ['attempt', ['EmailAttempt']],
  ['reports', ['MonthlySales', 'WeeklySales']],
]

/** With a driver, by which the database can be asked: the one that DATABASE_URL names here does not exist. */
const PG = { packages: ['pg'] }

describe('destroy', () => {
  it.each([
    ['a single schema', () => sampleHost({}, PG)],
    [
      'a schema without a newline at its end',
      () => sampleHost({ 'prisma/schema.prisma': `${SCHEMA}// no newline` }, PG),
    ],
    ['CRLF', () => sampleHost({ 'prisma/schema.prisma': SCHEMA.replaceAll('\n', '\r\n') }, PG)],
    ['a folder schema', () => folderHost()],
  ])('of everything, with the migrations that never ran, leaves the tree as it was (%s)', async (_shape, make) => {
    const host = make()
    const before = host.hash()
    const migration = host.has('node_modules/pg') ? 'delete' : 'delete-unchecked'
    for (const run of EVERYTHING) await host.run(...run)
    await destroyIn(host, 'reports', { migration })
    await destroyIn(host, 'attempt', { name: 'EmailAttempt', migration })
    await destroyIn(host, 'attempt', { migration })
    await destroyIn(host, 'install', { migration })
    expect(host.files().filter((path) => path.startsWith('.async-gen'))).toEqual([])
    expect(host.hash()).toBe(before)
  })

  it('removes what is as it was emitted, keeps and names the rest', async () => {
    const host = await generatedHost(EVERYTHING)
    host.write('src/async/attempt.ts', '// mine\n')
    host.write(
      'prisma/schema.prisma',
      host.read('prisma/schema.prisma').replace('model Attempt {', 'model Attempt {\n  team String?'),
    )
    const outcome = await destroyIn(host, 'attempt', { name: 'Attempt' })
    expect(lines(outcome)).toEqual(
      expect.arrayContaining([
        'keep src/async/attempt.ts',
        'keep prisma/schema.prisma',
        'delete src/async/tasks/attempt.ts',
      ]),
    )
    expect(host.read('src/async/attempt.ts')).toBe('// mine\n')
    expect(host.read('prisma/schema.prisma')).toContain('model Attempt {')
    expect(host.has('src/async/tasks/attempt.ts')).toBe(false)
  })

  it('never touches a file that another generator also owns', async () => {
    const host = await generatedHost(EVERYTHING)
    await destroyIn(host, 'attempt', { name: 'Attempt' })
    expect(host.has('src/async/targets.ts')).toBe(true)
    await destroyIn(host, 'attempt', { name: 'EmailAttempt' })
    expect(host.has('src/async/targets.ts')).toBe(false)
  })

  it('takes one report out, and its model stays', async () => {
    const host = await generatedHost(EVERYTHING)
    const outcome = await destroyIn(host, 'reports', { name: 'MonthlySales' })
    expect(lines(outcome).filter((line) => line.startsWith('delete'))).toEqual([
      'delete src/async/reports/monthly_sales.ts',
      'delete src/async/test/monthly_sales.test.ts',
    ])
    expect(host.has('src/async/reports/weekly_sales.ts')).toBe(true)
    expect(host.read('prisma/schema.prisma')).toContain('model Report {')
  })

  it('keeps migrations, which may have run, and says what becomes of their tables', async () => {
    const host = await generatedHost(EVERYTHING)
    const { plan } = await destroyIn(host, 'reports')
    const kept = plan.changes.find(({ path }) => path.endsWith('_create_reports/migration.sql'))
    expect(kept).toMatchObject({ kind: 'keep', detail: 'a database may have run it' })
    expect(plan.notes).toEqual([expect.stringMatching(/`prisma migrate dev` drops them\. .*--migration drop$/)])
    expect((await destroyIn(host, 'attempt', { name: 'EmailAttempt', migration: 'drop' })).plan.notes).toEqual([])
    // Its table is there: generated again, it gets no second migration.
    expect(lines(await host.run('reports')).filter((line) => /^create .*migration/.test(line))).toEqual([])
  })

  it('with --migration drop writes the migration that drops the table, after which it can be generated again', async () => {
    const host = await generatedHost(EVERYTHING)
    const outcome = await destroyIn(host, 'attempt', { name: 'EmailAttempt', migration: 'drop' })
    const down = outcome.plan.changes.find(({ path }) => path.endsWith('_drop_email_attempts/migration.sql'))!
    expect(host.read(down.path)).toMatch(
      /^DROP TABLE "email_attempts";\n(DROP FUNCTION "email_attempts_\w+";\n)+DROP TYPE "email_attempt_status";\n$/,
    )
    const again = await host.run('attempt', ['EmailAttempt'])
    expect(lines(again)).toContain('create src/async/email_attempt.ts')
    const up = again.plan.changes.find(({ path }) => path.endsWith('_create_email_attempts/migration.sql'))!
    expect(up.kind).toBe('create')
    expect(up.path > down.path).toBe(true)

    // If the manifest is lost, the table counts as there: the migration that dropped it came before.
    host.remove('.async-gen/manifest.json')
    await host.run('install', [], { onConflict: 'mine' })
    const found = await host.run('attempt', ['EmailAttempt'], { onConflict: 'mine' })
    expect(lines(found).filter((line) => /^create .*migration/.test(line))).toEqual([])
  })

  it('with --migration drop leaves nothing of ours in the database', async () => {
    const host = sampleHost()
    await host.run('install', [], { invalidateOn: ['Order'] })
    await host.run('attempt')
    await host.run('reports')
    const url = await createDatabase(inject('postgres'))
    await query(url, 'CREATE TABLE "Order" (id integer PRIMARY KEY)')
    const before = await objects(url)
    const migrate = async (name: RegExp) => {
      const paths = host.files().filter((path) => path.endsWith('/migration.sql') && name.test(path))
      for (const path of paths) await query(url, host.read(path))
    }
    await migrate(/\d_(create|extend|invalidate)_/)
    expect(await objects(url)).not.toEqual(before)
    for (const generator of ['reports', 'attempt', 'install'] as const)
      await destroyIn(host, generator, { migration: 'drop' })
    await migrate(/\d_drop_/)
    expect(await objects(url)).toEqual(before)
  })

  it.each([
    [
      'Prisma has a record of it',
      'CREATE TABLE _prisma_migrations (migration_name text, finished_at timestamptz, rolled_back_at timestamptz)',
    ],
    ['its table is there', 'CREATE TABLE reports (id integer)'],
  ])('does not delete a migration that the database has run: %s', async (_what, sql) => {
    const host = await generatedHost(EVERYTHING, {}, PG)
    const folder = host
      .files()
      .find((file) => file.endsWith('_create_reports/migration.sql'))!
      .split('/')[2]!
    const databaseUrl = await createDatabase(inject('postgres'))
    await destroyIn(host, 'reports', { migration: 'delete', databaseUrl, dryRun: true })
    await query(databaseUrl, sql)
    if (sql.includes('_prisma')) await query(databaseUrl, 'INSERT INTO _prisma_migrations VALUES ($1, now())', [folder])
    const before = host.hash()
    await expect(destroyIn(host, 'reports', { migration: 'delete', databaseUrl })).rejects.toMatchObject({
      code: 'MIGRATION_APPLIED',
      exitCode: 3,
      message: expect.stringContaining(folder),
      remedy: expect.stringContaining('--migration drop'),
    })
    expect(host.hash()).toBe(before)
  })

  it.each([
    ['nothing names it', ''],
    ['it does not answer', 'postgres://nobody@127.0.0.1:1/nothing'],
  ])('deletes no migration where the database cannot be asked (%s), unless told so', async (_what, databaseUrl) => {
    const host = await generatedHost(EVERYTHING, {}, PG)
    const before = host.hash()
    await expect(destroyIn(host, 'reports', { migration: 'delete', databaseUrl })).rejects.toMatchObject({
      code: 'DATABASE_NOT_CHECKED',
      exitCode: 2,
      remedy: expect.stringContaining('--migration delete-unchecked'),
    })
    expect(host.hash()).toBe(before)
    const outcome = await destroyIn(host, 'reports', { migration: 'delete-unchecked', databaseUrl })
    expect(lines(outcome)).toContainEqual(expect.stringMatching(/^delete .*_create_reports\/migration\.sql$/))
  })

  it('names `prisma generate`, since the schema has changed', async () => {
    const host = await generatedHost(EVERYTHING)
    expect((await destroyIn(host, 'reports')).nextSteps).toContain('npx prisma generate')
  })

  it('keeps a migration that the user has edited', async () => {
    const host = await generatedHost(EVERYTHING)
    const path = host.files().find((file) => file.endsWith('_create_reports/migration.sql'))!
    host.write(path, '-- mine\n')
    expect(lines(await destroyIn(host, 'reports', { migration: 'delete-unchecked' }))).toContain(`keep ${path}`)
    expect(host.read(path)).toBe('-- mine\n')
  })

  it('leaves what the user wrote into our block of the schema', async () => {
    const host = sampleHost()
    await host.run('install')
    host.write(
      'prisma/schema.prisma',
      host.read('prisma/schema.prisma').replace('// async-gen:section toasts', '// mine\n// async-gen:section toasts'),
    )
    await destroyIn(host, 'install')
    expect(host.read('prisma/schema.prisma')).toContain('// mine')
    expect(host.read('prisma/schema.prisma')).not.toContain('model Toast')
  })

  it('needs no client, which may be gone already', async () => {
    const host = await generatedHost(EVERYTHING)
    host.remove('src/db.ts')
    await destroyIn(host, 'reports')
    expect(host.has('src/async/report.ts')).toBe(false)
  })

  it('changes nothing in a dry run', async () => {
    const host = await generatedHost(EVERYTHING)
    const before = host.hash()
    expect((await destroyIn(host, 'reports', { dryRun: true })).status).toBe('dry run')
    expect(host.hash()).toBe(before)
  })

  it.each([
    ['install', {}, 'STILL_USED', 'npx async-gen destroy attempt Attempt'],
    ['attempt', {}, 'NAME_MISSING', 'npx async-gen destroy attempt Attempt'],
    ['attempt', { name: 'Nothing' }, 'NOT_GENERATED', 'attempt EmailAttempt'],
    ['reports', { name: 'Nothing' }, 'NOT_GENERATED', 'reports Report'],
  ] as const)('%s %j is refused: %s', async (generator, request, code, remedy) => {
    const host = await generatedHost(EVERYTHING)
    const before = host.hash()
    await expect(destroyIn(host, generator, request)).rejects.toMatchObject({
      code,
      exitCode: 2,
      remedy: expect.stringContaining(remedy),
    })
    expect(host.hash()).toBe(before)
  })
})

/** Tables, types, functions and triggers. */
function objects(url: string) {
  return query(
    url,
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
     UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
     UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
     UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
     ORDER BY 1`,
  )
}

function destroyIn(host: SampleHost, generator: DestroyRequest['generator'], request: Partial<DestroyRequest> = {}) {
  return destroy({ cwd: host.root, generator, ...request })
}
