import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { destroy } from '../../generators/commands/destroy.js'
import { folderHost, kinds, lines, SCHEMA, sampleHost } from './sample-host.js'

describe('install, attempt and reports write', () => {
  it('A16, T14: the files of the design, each where it belongs', async () => {
    const host = sampleHost()
    const before = host.files()
    await host.run('install')
    await host.run('attempt')
    await host.run('reports', ['MonthlySales'])
    expect(written(host.files(), before)).toEqual([
      'prisma/migrations/<time>_create_attempts/migration.sql',
      'prisma/migrations/<time>_create_reports/migration.sql',
      'prisma/migrations/<time>_create_toasts/migration.sql',
      'prisma/migrations/<time>_extend_attempts/migration.sql',
      'prisma/migrations/<time>_extend_toasts/migration.sql',
      'src/async/attempt.factory.ts',
      'src/async/attempt.ts',
      'src/async/database.ts',
      'src/async/report.factory.ts',
      'src/async/report.ts',
      'src/async/reports/monthly_sales.ts',
      'src/async/schedule.ts',
      'src/async/targets.ts',
      'src/async/tasks/attempt.ts',
      'src/async/tasks/attempt_batch.ts',
      'src/async/tasks/refresh_report.ts',
      'src/async/tasks/refresh_toast.ts',
      'src/async/tasks/sweep.ts',
      'src/async/test/attempt.test.ts',
      'src/async/test/monthly_sales.test.ts',
      'src/async/test/report.test.ts',
      'src/async/test/toasts.test.ts',
      'src/async/toasts.ts',
      'src/async/worker.ts',
    ])
  })

  it('a .gitattributes for the copies in .async-gen, and never the .gitattributes of the user', async () => {
    const own = '*.png binary\r\nsrc/** text'
    const host = sampleHost({ '.gitattributes': own })
    await host.run('install')
    const git = (...args: string[]) => execFileSync('git', args, { cwd: host.root, encoding: 'utf8' })
    git('init', '--quiet')
    const attribute = (path: string) => git('check-attr', 'linguist-generated', '--', path).trim()
    expect(attribute('.async-gen/base/src/async/worker.ts.base')).toMatch(/: set$/)
    expect(attribute('src/async/worker.ts')).toMatch(/: unspecified$/)
    expect(host.read('.gitattributes')).toBe(own)
    expect((await host.run('install')).status).toBe('nothing to do')
  })

  it('A17: a second attempt model beside the first, with its own table, tasks and migration', async () => {
    const host = sampleHost()
    await host.run('install')
    await host.run('attempt')
    const outcome = await host.run('attempt', ['email-attempt'])
    expect(host.read('src/async/email_attempt.ts')).toContain('class EmailAttempt extends BaseAttempt')
    expect(host.has('src/async/tasks/email_attempt.ts')).toBe(true)
    expect(host.read('prisma/schema.prisma')).toContain('model EmailAttempt {')
    expect(host.read('prisma/schema.prisma')).toContain('@@map("email_attempt_status")')
    expect(outcome.plan.writes.some(({ path }) => path.endsWith('_create_email_attempts/migration.sql'))).toBe(true)
  })

  it('A22: a task that encrypts again, for attempts that are encrypted, which a later run remembers', async () => {
    const host = sampleHost()
    await host.run('install')
    await host.run('attempt')
    expect(host.has('src/async/tasks/attempt_reencrypt.ts')).toBe(false)
    await host.run('attempt', ['Secret'], { encrypted: true })
    expect(host.read('src/async/tasks/secret_reencrypt.ts')).toContain('export default reencryptTask(Secret)')
    expect(lines(await host.run('attempt', ['Secret']))).toContain('identical src/async/tasks/secret_reencrypt.ts')
  })

  it('T14: reports under another name where Report is taken, which later reports join', async () => {
    const host = sampleHost({ 'prisma/schema.prisma': `${SCHEMA}\nmodel Report {\n  id Int @id\n}\n` })
    await host.run('install')
    await host.run('reports', ['MonthlySales'], { model: 'sales-report' })
    await host.run('reports', ['WeeklySales'])
    expect(host.read('src/async/sales_report.ts')).toContain('class SalesReport<Args')
    expect(host.read('src/async/reports/weekly_sales.ts')).toContain('extends SalesReport {')
    expect(host.read('prisma/schema.prisma')).toContain('@@map("sales_reports")')

    await host.run('reports', [], { model: 'StockReport' })
    await expect(host.run('reports', ['Yearly'])).rejects.toMatchObject({
      code: 'MODEL_AMBIGUOUS',
      remedy: 'Name one of them: --model SalesReport',
    })
  })

  it('one more report: its class and its spec, and nothing else', async () => {
    const host = sampleHost()
    await host.run('install')
    await host.run('reports', ['MonthlySales'])
    const before = host.files()
    await host.run('reports', ['WeeklySales'])
    expect(written(host.files(), before)).toEqual([
      'src/async/reports/weekly_sales.ts',
      'src/async/test/weekly_sales.test.ts',
    ])
  })

  it('into async/ where there is no src/, and into --dir where it is given, which later commands remember', async () => {
    const flat = sampleHost({ 'src/db.ts': null, 'db.ts': 'export const db = new PrismaClient()\n' })
    await flat.run('install')
    expect(flat.read('async/database.ts')).toContain("import { db as prisma } from '../db.js'")

    const host = sampleHost()
    await host.run('install', [], { dir: './lib/jobs/' })
    await host.run('attempt')
    expect(host.has('lib/jobs/attempt.ts')).toBe(true)
    expect(host.read('lib/jobs/database.ts')).toContain("from '../../src/db.js'")
    expect(JSON.parse(host.read('package.json')).scripts['async:worker']).toBe(
      'async-gen-worker run lib/jobs/worker.ts',
    )
  })

  it('names a folder with a space so that shells take it for one', async () => {
    const host = sampleHost()
    await host.run('install', [], { dir: 'src/my jobs' })
    const { scripts } = JSON.parse(host.read('package.json'))
    expect(scripts['async:worker']).toBe('async-gen-worker run "src/my jobs/worker.ts"')
  })

  it('no specs where vitest is no dependency, and says so once', async () => {
    const host = sampleHost({ 'package.json': '{ "type": "module", "dependencies": { "prisma": "7" } }' })
    const { plan } = await host.run('install')
    expect(host.files().filter((file) => file.includes('/test/'))).toEqual([])
    expect(plan.notes).toEqual([expect.stringContaining('vitest')])
  })

  it('nothing at all in a dry run, whose plan is the plan of the real run', async () => {
    const host = sampleHost()
    const before = host.hash()
    const dry = await host.run('install', [], { dryRun: true })
    expect(host.hash()).toBe(before)
    expect(dry.status).toBe('dry run')
    const real = await host.run('install')
    expect(withoutTimes(lines(dry))).toEqual(withoutTimes(lines(real)))
  })

  it('the code first, and the manifest last', async () => {
    const { plan } = await sampleHost().run('install')
    const paths = plan.writes.map(({ path }) => path)
    const ours = paths.findIndex((path) => path.startsWith('.async-gen/'))
    expect(paths.slice(ours).every((path) => path.startsWith('.async-gen/'))).toBe(true)
    expect(paths.at(-1)).toBe('.async-gen/manifest.json')
  })

  it('after a run that was killed: ends that one first, unless it only looks', async () => {
    const temporary = 'src/async/.worker.ts.async-gen-1'
    const step = { path: 'src/async/worker.ts', temporary, before: null }
    const journal = { pid: 2 ** 30, ready: false, steps: [step], folders: ['src/async'] }
    const host = sampleHost({ '.async-gen/journal.json': JSON.stringify(journal), [temporary]: '// half' })
    expect((await host.run('install', [], { dryRun: true })).plan.notes).toEqual([
      expect.stringContaining('doctor --fix'),
    ])
    expect(host.has(temporary)).toBe(true)
    expect((await host.run('install')).plan.notes).toEqual(['an earlier run was interrupted. async-gen has undone it'])
    expect(host.has(temporary)).toBe(false)
    expect(host.has('.async-gen/journal.json')).toBe(false)
  })

  it('leaves what another run has written since it looked, and says so', async () => {
    const host = sampleHost({ 'src/async/attempt.ts': '// mine\n' })
    await host.run('install')
    const waiting = host.run('attempt', [], {
      resolveConflict: async () => {
        await host.run('reports')
        return 'theirs'
      },
    })
    await expect(waiting).rejects.toMatchObject({ code: 'CHANGED_MEANWHILE', exitCode: 3 })
    expect(Object.keys(JSON.parse(host.read('.async-gen/manifest.json')).generators)).toEqual([
      'install',
      'reports Report',
    ])
    expect(host.read('src/async/attempt.ts')).toBe('// mine\n')
  })

  it('what is left to do: install, migrate, generate, edit', async () => {
    const host = sampleHost({ 'pnpm-lock.yaml': '', ...RUNTIME, ...MIGRATED })
    const { nextSteps } = await host.run('install')
    expect(nextSteps).toEqual([
      'pnpm install',
      'pnpm exec prisma migrate dev   (in production: pnpm exec prisma migrate deploy)',
      'pnpm exec prisma generate',
      'Define your cached methods in src/async/toasts.ts',
    ])
    expect((await host.run('install')).nextSteps).toEqual([])
  })

  it.each([
    ['package-lock.json', 'npm install /path/to/async-gen/packages/async-gen-runtime-'],
    ['pnpm-lock.yaml', 'pnpm add @async-gen/runtime@file:/path/to/async-gen/packages/async-gen-runtime-'],
  ])('how to install the runtime, which is not on the registry yet: %s', async (lockFile, command) => {
    const host = sampleHost({ [lockFile]: lockFile.endsWith('json') ? '{}' : '' })
    const [step] = (await host.run('install')).nextSteps
    expect(step).toContain(command)
    expect(step).toContain('@async-gen/runtime is not on the npm registry yet')
  })

  it('how to have Jest load the runtime, once, in a host that tests with Jest', async () => {
    const host = sampleHost({
      'package.json': '{ "dependencies": { "prisma": "7" }, "devDependencies": { "jest": "^30.0.0" } }',
    })
    const { nextSteps } = await host.run('install')
    expect(nextSteps.at(-1)).toMatch(/^Set up Jest to load @async-gen\/runtime.*docs\/testing\.md/)
    expect((await host.run('attempt')).nextSteps.join('\n')).not.toContain('Jest')
  })

  it('what is left to do where there are no migrations: as usual, or the SQL first where `migrate dev` would reset', async () => {
    const host = sampleHost()
    const step = /^npx prisma migrate dev .*\n.*((?:\n {2}npx prisma db execute --file \S+)+)\n {2}npx prisma db push /
    const first = step.exec((await host.run('install')).nextSteps[1]!)
    expect(first?.[1]).toMatch(
      /prisma\/migrations\/\d{14}_create_toasts\/migration\.sql\n.*_extend_toasts\/migration\.sql$/,
    )
    expect((await host.run('attempt')).nextSteps[0]).toMatch(step)
  })

  it('what is left to do for encrypted attempts: a key', async () => {
    const host = sampleHost(MIGRATED)
    await host.run('install')
    expect((await host.run('attempt', [], { encrypted: true })).nextSteps.at(-1)).toContain('ATTEMPT_KEY')
    expect((await host.run('attempt', ['SmsAttempt'])).nextSteps.at(-1)).not.toContain('ATTEMPT_KEY')
  })
})

describe('the specs are', () => {
  const NODE_TEST = { test: 'node --import tsx --test test/*.test.ts' }

  it.each([
    ['vitest', { devDependencies: { vitest: '4', jest: '30' }, scripts: NODE_TEST }, `from 'vitest'`],
    ['Jest', { devDependencies: { jest: '30', mocha: '11' }, scripts: NODE_TEST }, `from '@jest/globals'`],
    ['node:test', { devDependencies: { mocha: '11' }, scripts: NODE_TEST }, `from 'node:test'`],
    ['node:test, run by tsx', { scripts: { test: 'prisma generate && tsx --test' } }, `from 'node:test'`],
  ])('for %s, the first of those that package.json has', async (_, packageJson, imported) => {
    const host = sampleHost({ 'package.json': JSON.stringify({ ...packageJson, dependencies: { prisma: '7' } }) })
    await host.run('install')
    expect(host.read('src/async/test/toasts.test.ts')).toContain(imported)
    expect(JSON.parse(host.read('package.json')).scripts).toMatchObject(packageJson.scripts)
  })

  it('written for another one when the host has changed to it', async () => {
    const host = sampleHost()
    await host.run('install')
    host.write('package.json', host.read('package.json').replace('vitest', 'jest'))
    expect(lines(await host.run('install'))).toContain('update src/async/test/toasts.test.ts')
    expect(host.read('src/async/test/toasts.test.ts')).toContain(`from '@jest/globals'`)
  })

  it.each([
    ['none of them', {}, 'and package.json has none of them'],
    ['none of them', { scripts: { check: 'node check.js && other --test' } }, 'and package.json has none of them'],
    ['mocha', { devDependencies: { mocha: '11' } }, 'and this project uses mocha'],
  ])('not written for a host with %s, and a note names all three', async (_, packageJson, why) => {
    const host = sampleHost({ 'package.json': JSON.stringify({ ...packageJson, dependencies: { prisma: '7' } }) })
    const { plan } = await host.run('install')
    expect(plan.notes).toEqual([`no specs were written to src/async/test: they need vitest, Jest or node:test, ${why}`])
    expect(host.has('src/async/test')).toBe(false)
  })

  it.each([
    ['^29.7.0', '^29.7.0'],
    ['catalog:', '*'],
  ])('typed by @jest/globals of the version of Jest: %s', async (jest, expected) => {
    const host = sampleHost({
      'package.json': JSON.stringify({ dependencies: { prisma: '7' }, devDependencies: { jest } }, null, 2),
    })
    const before = host.hash()
    await host.run('install')
    expect(JSON.parse(host.read('package.json')).devDependencies['@jest/globals']).toBe(expected)
    await destroy({ cwd: host.root, generator: 'install', migration: 'delete-unchecked' })
    expect(host.hash()).toBe(before)
  })
})

describe('run again,', () => {
  it.each([
    ['a single schema', sampleHost],
    ['a folder schema', folderHost],
  ])('every generator changes nothing (%s)', async (_shape, make) => {
    const host = make()
    const runs = [['install'], ['attempt'], ['attempt', ['EmailAttempt']], ['reports', ['MonthlySales']]] as const
    for (const [generator, names] of runs) await host.run(generator, [...(names ?? [])])
    const before = host.hash()
    for (const [generator, names] of runs) {
      const outcome = await host.run(generator, [...(names ?? [])])
      expect(outcome.status).toBe('nothing to do')
      expect(kinds(outcome)).toEqual(['identical'])
    }
    expect(host.hash()).toBe(before)
  })

  it('a file that the user has edited stays as it is, and the output says so', async () => {
    const host = sampleHost()
    await host.run('install')
    host.write('src/async/toasts.ts', '// mine\n')
    const outcome = await host.run('install')
    expect(lines(outcome)).toContain('keep src/async/toasts.ts')
    expect(host.read('src/async/toasts.ts')).toBe('// mine\n')
  })

  it('a file for several generators is never replaced where the user has one, not even with --on-conflict theirs', async () => {
    const host = sampleHost({ 'src/async/targets.ts': '// mine\n' })
    await host.run('install')
    const outcome = await host.run('attempt', [], { onConflict: 'theirs' })
    expect(lines(outcome)).toContain('keep src/async/targets.ts')
    expect(host.read('src/async/targets.ts')).toBe('// mine\n')
  })

  it.each([
    ['a file of the schema', () => folderHost({ 'prisma/schema/toasts.prisma': 'model Bread {\n  id Int @id\n}\n' })],
    ['a model, if the manifest is lost', hostWithOtherModel],
  ])('%s is a conflict if it differs from ours, and stays', async (_what, make) => {
    const host = await make()
    const before = host.hash()
    const { plan, status } = await host.run('install')
    expect(status).toBe('blocked')
    expect(plan.changes).toContainEqual(
      expect.objectContaining({ kind: 'conflict', path: expect.stringMatching(/\.prisma$/) }),
    )
    expect(host.hash()).toBe(before)
  })

  async function hostWithOtherModel() {
    const host = sampleHost()
    await host.run('install')
    host.write(
      'prisma/schema.prisma',
      host.read('prisma/schema.prisma').replace('model Toast {', 'model Toast { // mine'),
    )
    host.remove('.async-gen')
    return host
  }

  it('a file that the user has deleted stays deleted', async () => {
    const host = sampleHost()
    await host.run('install')
    host.remove('src/async/toasts.ts')
    expect(lines(await host.run('install'))).toContain('removed src/async/toasts.ts')
    expect(host.has('src/async/toasts.ts')).toBe(false)
  })

  it('a file that the user has not edited follows what would be emitted now', async () => {
    const host = sampleHost()
    await host.run('install')
    host.write('src/other.ts', host.read('src/db.ts'))
    const outcome = await host.run('install', [], { client: 'src/other.ts' })
    expect(lines(outcome)).toContain('update src/async/database.ts')
    expect(host.read('src/async/database.ts')).toContain("from '../other.js'")
  })

  it('edited models in the schema stay as they are', async () => {
    const host = sampleHost()
    await host.run('install')
    await host.run('attempt')
    const edited = host.read('prisma/schema.prisma').replace('model Attempt {', 'model Attempt {\n  team String?')
    host.write('prisma/schema.prisma', edited)
    expect(lines(await host.run('attempt'))).toContain('keep prisma/schema.prisma')
    await host.run('reports')
    expect(host.read('prisma/schema.prisma')).toContain('  team String?')
    expect(host.read('prisma/schema.prisma')).toContain('model Report {')
  })

  it('models that the user has moved out of the block are not put in a second time', async () => {
    const host = sampleHost()
    await host.run('install')
    host.write('prisma/schema.prisma', host.read('prisma/schema.prisma').replaceAll(/^\/\/ async-gen:.*\n/gm, ''))
    expect(lines(await host.run('install'))).toContain('removed prisma/schema.prisma')
  })

  it('a migration is never emitted again: not when it was edited, renamed to another time, or squashed', async () => {
    const host = sampleHost()
    await host.run('install')
    const { migrations } = JSON.parse(host.read('.async-gen/manifest.json'))
    const folder = `prisma/migrations/${migrations.create_toasts.folder}`
    host.write(`${folder}/migration.sql`, '-- mine\n')
    expect(lines(await host.run('install'))).toContain(`keep ${folder}/migration.sql`)
    host.remove(folder)
    expect(lines(await host.run('install'))).toContain(`removed ${folder}/migration.sql`)
    expect(host.has(folder)).toBe(false)
  })

  it('without its manifest it finds what it wrote, and refuses what it cannot know', async () => {
    const host = sampleHost()
    await host.run('install')
    host.remove('.async-gen')
    const found = lines(await host.run('install'))
    expect(found.filter((line) => !line.startsWith('identical'))).toEqual([
      'create .async-gen/.gitattributes',
      'create .async-gen/manifest.json',
    ])
    host.remove('.async-gen')
    host.write('src/async/worker.ts', '// mine\n')
    const before = host.hash()
    const outcome = await host.run('install')
    expect(outcome.status).toBe('blocked')
    expect(lines(outcome)).toContain('conflict src/async/worker.ts')
    expect(host.hash()).toBe(before)
  })

  it('nothing changes when a formatter has been at the manifest', async () => {
    const host = sampleHost()
    await host.run('install')
    host.write(
      '.async-gen/manifest.json',
      JSON.stringify(JSON.parse(host.read('.async-gen/manifest.json')), null, '\t'),
    )
    expect((await host.run('install')).status).toBe('nothing to do')
  })

  it('several migrations of one run are in the order in which they have to run', async () => {
    const host = sampleHost({ 'prisma/schema.prisma': `${SCHEMA}\nmodel Bread {\n  id Int @id\n}\n` })
    const { plan } = await host.run('install', [], { invalidateOn: ['Order', 'Bread'] })
    const folders = plan.changes.flatMap(({ path }) => /migrations\/(\d+)_(\w+)/.exec(path)?.slice(1) ?? [])
    const [toasts, , extended, , order, , bread] = folders
    expect(folders).toEqual([
      toasts,
      'create_toasts',
      extended,
      'extend_toasts',
      order,
      'invalidate_order_on_order',
      bread,
      'invalidate_bread_on_bread',
    ])
    expect(toasts! < order! && order! < bread!).toBe(true)
  })

  it('a host migration of the same name for another table is not taken for ours', async () => {
    const host = sampleHost({
      'prisma/migrations/20240101000000_create_toasts/migration.sql': 'CREATE TABLE "bread" ();',
    })
    const outcome = await host.run('install')
    expect(lines(outcome).filter((line) => /^create .*_create_toasts/.test(line))).toHaveLength(1)
  })
})

describe('the schema', () => {
  it('of one file gets one block at its end, which later generators extend; every other byte stays', async () => {
    const host = sampleHost({ 'prisma/schema.prisma': `${SCHEMA.trimEnd()} // no newline at the end: ü` })
    await host.run('install')
    await host.run('attempt')
    const schema = host.read('prisma/schema.prisma')
    expect(schema.startsWith(`${SCHEMA.trimEnd()} // no newline at the end: ü\n// async-gen:begin`)).toBe(true)
    expect(schema.endsWith('// async-gen:end\n')).toBe(true)
    expect(schema.match(/async-gen:begin/g)).toHaveLength(1)
    expect([...schema.matchAll(/async-gen:section (\w+)/g)].map((match) => match[1])).toEqual(['toasts', 'attempts'])
  })

  it('of a folder gets a file for each generator', async () => {
    const host = folderHost()
    await host.run('install')
    await host.run('attempt', ['EmailAttempt'])
    expect(host.files().filter((file) => file.endsWith('.prisma'))).toEqual([
      'prisma/schema/email_attempts.prisma',
      'prisma/schema/main.prisma',
      'prisma/schema/toasts.prisma',
    ])
    expect(host.read('prisma/schema/main.prisma')).toBe(SCHEMA)
  })

  it('is found by --schema, which later commands remember', async () => {
    const host = sampleHost({ 'prisma/schema.prisma': null, 'db/main.prisma': SCHEMA })
    await host.run('install', [], { schema: 'db/main.prisma' })
    await host.run('attempt')
    expect(host.read('db/main.prisma')).toContain('model Attempt {')
    expect(host.files().filter((file) => file.startsWith('db/migrations/'))).toHaveLength(4)
  })

  it('is formatted as Prisma formats it, where it is ours', async () => {
    const host = folderHost()
    await host.run('install')
    await host.run('attempt', ['QuiteALongNameForACall'])
    const [status, priority] = host
      .read('prisma/schema/quite_a_long_name_for_a_calls.prisma')
      .split('\n')
      .filter((line) => /^ {2}(status|priority) /.test(line))
    expect(status!.indexOf('@default')).toBe(priority!.indexOf('@default'))
  })
})

describe('line endings', () => {
  it('of a CRLF host are CRLF in all that is written, migrations apart', async () => {
    const crlf = (text: string) => text.replaceAll('\n', '\r\n')
    const host = sampleHost({
      'prisma/schema.prisma': crlf(SCHEMA),
      'package.json': crlf('{\n  "type": "module",\n  "dependencies": {\n    "prisma": "7"\n  }\n}\n'),
    })
    await host.run('install')
    for (const path of ['prisma/schema.prisma', 'package.json', 'src/async/worker.ts']) {
      expect(host.read(path).replaceAll('\r\n', ''), path).not.toContain('\n')
    }
    expect(host.read(host.files().find((path) => path.endsWith('migration.sql'))!)).not.toContain('\r')
    expect(kinds(await host.run('install'))).toEqual(['identical'])
  })

  it('that a checkout has changed are no edit', async () => {
    const host = sampleHost()
    await host.run('install')
    host.write('src/async/worker.ts', host.read('src/async/worker.ts').replaceAll('\n', '\r\n'))
    expect(kinds(await host.run('install'))).toEqual(['identical'])
  })
})

describe('imports', () => {
  it.each([
    ['export const prisma = new PrismaClient()', "import { prisma } from '../db.js'"],
    ['export const db = new PrismaClient()', "import { db as prisma } from '../db.js'"],
    ['export default new PrismaClient()', "import prisma from '../db.js'"],
  ])('of a client that is written `%s`', async (code, line) => {
    const host = sampleHost({ 'src/db.ts': `${code}\n` })
    await host.run('install')
    expect(host.read('src/async/database.ts')).toContain(line)
  })

  it.each([
    ['nodenext, ESM', { module: 'nodenext' }, 'module', "'./database.js'", "'../db.js'"],
    ['nodenext, CommonJS', { module: 'nodenext' }, 'commonjs', "'./database'", "'../db'"],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler' }, 'module', "'./database'", "'../db'"],
    [
      'TypeScript extensions',
      { module: 'nodenext', allowImportingTsExtensions: true },
      'module',
      "'./database.ts'",
      "'../db.ts'",
    ],
    ['no tsconfig', null, 'module', "'./database.js'", "'../db.js'"],
  ])('end as the host writes them: %s', async (_style, compilerOptions, type, database, client) => {
    const host = sampleHost({
      'tsconfig.json': compilerOptions && JSON.stringify({ compilerOptions }),
      'package.json': JSON.stringify({ type, dependencies: { prisma: '7' } }),
    })
    await host.run('install')
    expect(host.read('src/async/worker.ts')).toContain(`from ${database}`)
    expect(host.read('src/async/database.ts')).toContain(`from ${client}`)
  })

  it.each([
    ['nodenext, CommonJS', { module: 'nodenext' }, "import('./targets.js')"],
    ['commonjs', { module: 'commonjs' }, "import('./targets')"],
  ])('of a dynamic import end as the compiler wants them: %s', async (_style, compilerOptions, line) => {
    const host = sampleHost({
      'tsconfig.json': JSON.stringify({ compilerOptions }),
      'package.json': JSON.stringify({ type: 'commonjs', dependencies: { prisma: '7' } }),
    })
    await host.run('install')
    await host.run('attempt')
    expect(host.read('src/async/attempt.ts')).toContain(line)
  })

  it('follow a tsconfig that extends another', async () => {
    const host = sampleHost({
      'tsconfig.json': '{ "extends": "./tsconfig.base.json" }',
      'tsconfig.base.json': '{ "compilerOptions": { "moduleResolution": "bundler" } } // base',
    })
    await host.run('install')
    expect(host.read('src/async/worker.ts')).toContain("from './database'")
  })

  it.each([
    ['src/db', '../db.js', 'prisma'],
    ['./src/db.ts', '../db.js', 'prisma'],
    ['src/db.ts#reader', '../db.js', 'reader as prisma'],
    ['src/client', '../client/index.js', 'prisma'],
    ['src/other.mts', '../other.mjs', 'prisma'],
  ])('of the client that --client %s names', async (flag, module, name) => {
    const client = 'export const prisma = new PrismaClient()\n'
    const host = sampleHost({ 'src/client/index.ts': client, 'src/other.mts': client })
    await host.run('install', [], { client: flag })
    expect(host.read('src/async/database.ts')).toContain(`import { ${name} } from '${module}'`)
  })

  it.each([
    ['src/client', '../client'],
    ['src/other.mts', '../other.mjs'],
  ])('without extensions, of the client that --client %s names', async (flag, module) => {
    const client = 'export const prisma = new PrismaClient()\n'
    const host = sampleHost({ 'src/client/index.ts': client, 'src/other.mts': client, 'tsconfig.json': '{}' })
    await host.run('install', [], { client: flag })
    expect(host.read('src/async/database.ts')).toContain(`import { prisma } from '${module}'`)
  })
})

const RUNTIME = { 'node_modules/@async-gen/runtime/package.json': '{}' }
const MIGRATED = { 'prisma/migrations/20240101000000_init/migration.sql': 'CREATE TABLE "Order" ();\n' }

function written(after: string[], before: string[]): string[] {
  return withoutTimes(after.filter((file) => !before.includes(file) && !file.startsWith('.async-gen/'))).sort()
}

function withoutTimes(names: string[]): string[] {
  return names.map((name) => name.replace(/\d{14}/, '<time>'))
}
