import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { eject } from '../../generators/commands/eject.js'
import { type UpgradeRequest, upgrade } from '../../generators/commands/upgrade.js'
import {
  folderHost,
  type GeneratorRun,
  generatedHost,
  kinds,
  lines,
  type SampleHost,
  sampleHost,
} from './sample-host.js'

const TEMPLATES = fileURLToPath(new URL('../../templates', import.meta.url))
const CLASS = 'attempt/async/__file__.ts'
const DOC = '/** A call that is recorded in your transaction. The worker runs it after the commit. */'

/** The async-gen that runs: its version and its templates. */
const release = vi.hoisted(() => ({ version: '', templates: '' }))
vi.mock('../../generators/host/own-package.js', () => ({
  get version() {
    return release.version
  },
  get templates() {
    return release.templates
  },
  runtimeTarball: () => undefined,
}))
beforeEach(() => Object.assign(release, { version: '0.1.0', templates: TEMPLATES }))

describe('an upgrade', () => {
  it('merges what a template has gained into a file that the user has edited', async () => {
    const host = await installed()
    edit(host, 'src/async/attempt.ts', '  //   await super.handlePerformError(error)', '    report(error)')
    publish({ [CLASS]: (text) => text.replace(DOC, `${DOC}\n// newer`) })

    expect(lines(await upgradeIn(host))).toContain('merge src/async/attempt.ts')
    expect(host.read('src/async/attempt.ts')).toContain(`${DOC}\n// newer\nexport class`)
    expect(host.read('src/async/attempt.ts')).toContain('    report(error)')
    expect((await upgradeIn(host)).status).toBe('nothing to do')
  })

  it('gives the newer text where the user has edited nothing, and leaves alone what the user alone has edited', async () => {
    const host = await installed()
    host.write('src/async/worker.ts', '// mine\n')
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })
    const outcome = await upgradeIn(host)
    expect(lines(outcome)).toContain('update src/async/attempt.ts')
    expect(lines(outcome)).toContain('keep src/async/worker.ts')
    expect(host.read('src/async/attempt.ts')).toContain('// newer')
    expect(host.read('src/async/worker.ts')).toBe('// mine\n')
  })

  it('leaves a file deleted that the user has deleted, and updates it if it is restored', async () => {
    const host = await installed()
    const emitted = host.read('src/async/attempt.ts')
    host.remove('src/async/attempt.ts')
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })
    expect(lines(await upgradeIn(host))).toContain('removed src/async/attempt.ts')
    expect(host.has('src/async/attempt.ts')).toBe(false)
    host.write('src/async/attempt.ts', emitted)
    expect(lines(await upgradeIn(host))).toContain('update src/async/attempt.ts')
  })

  it('leaves a model deleted that the user has deleted, and updates it if it is restored', async () => {
    const host = await installed()
    const emitted = host.read('prisma/schema.prisma')
    const section = /^\/\/ async-gen:section attempts[\s\S]*?(?=^\/\/ async-gen:(?:section|end))/m
    host.write('prisma/schema.prisma', emitted.replace(section, ''))
    publish({ 'attempt/schema.prisma': (text) => text.replace('@default(25)', '@default(30)') })
    expect(lines(await upgradeIn(host))).toContain('removed prisma/schema.prisma')
    expect(host.read('prisma/schema.prisma')).not.toContain('model Attempt ')
    host.write('prisma/schema.prisma', emitted)
    expect(lines(await upgradeIn(host))).toContain('update prisma/schema.prisma')
    expect(host.read('prisma/schema.prisma')).toContain('@default(30)')
  })

  it('leaves alone a file for several generators that was there before them', async () => {
    const host = await installed(sampleHost({ 'src/async/targets.ts': '// mine\n' }))
    publish({ 'attempt/async/targets.ts': (text) => `${text}// newer\n` })
    expect(lines(await upgradeIn(host))).toContain('keep src/async/targets.ts')
    expect(host.read('src/async/targets.ts')).toBe('// mine\n')
  })

  it('writes nothing where two edits meet, lists each, and shows both sides', async () => {
    const host = await installedWithConflict()
    const before = host.hash()
    const outcome = await upgradeIn(host)
    expect(outcome.status).toBe('blocked')
    expect(lines(outcome).filter((line) => line.startsWith('conflict'))).toEqual(['conflict src/async/attempt.ts'])
    const { conflict, detail } = outcome.plan.changes.find(({ kind }) => kind === 'conflict')!
    expect(detail).toBe('you and async-gen changed the same lines in 1 place')
    expect(conflict).toMatchObject({
      mine: expect.stringContaining('// mine'),
      theirs: expect.stringContaining('// newer'),
    })
    expect(host.hash()).toBe(before)
  })

  it('says in how many places two edits meet', async () => {
    const host = await installedWithConflict()
    const line = '  //   await super.handlePerformError(error)'
    edit(host, 'src/async/attempt.ts', line, '    report(error)')
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer').replace(line, '    note(error)') })
    const { plan } = await upgradeIn(host)
    expect(plan.changes.find(({ kind }) => kind === 'conflict')!.detail).toMatch(/ in 2 places$/)
  })

  it.each([
    ['mine', 'yours', ['// mine'], ['// newer']],
    ['theirs', "async-gen's", ['// newer'], ['// mine']],
    [
      'merge',
      'with conflict markers in 1 place',
      ['<<<<<<< yours\n// mine\n=======\n// newer\n>>>>>>> async-gen 0.2.0\n'],
      [],
    ],
  ] as const)(
    'with --on-conflict %s writes that, and the next one has nothing to do',
    async (onConflict, detail, there, gone) => {
      const host = await installedWithConflict()
      const { status, plan } = await upgradeIn(host, { onConflict })
      expect(status).toBe('applied')
      expect(plan.changes.find(({ path }) => path === 'src/async/attempt.ts')!.detail).toBe(`${detail}, as you chose`)
      for (const text of there) expect(host.read('src/async/attempt.ts')).toContain(text)
      for (const text of gone) expect(host.read('src/async/attempt.ts')).not.toContain(text)
      expect((await upgradeIn(host)).status).toBe('nothing to do')
    },
  )

  it('asks about each conflict where somebody can answer, and remembers the answer', async () => {
    const host = await installedWithConflict()
    const resolveConflict = vi.fn(async () => 'mine' as const)
    await upgradeIn(host, { resolveConflict })
    await upgradeIn(host, { resolveConflict })
    expect(resolveConflict).toHaveBeenCalledOnce()
    expect(host.read('src/async/attempt.ts')).toContain('// mine')
  })

  it('shows what becomes of files that are there, and asks, before it writes', async () => {
    const host = await installed()
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })
    const before = host.hash()
    expect((await upgradeIn(host, { confirm: async () => false })).status).toBe('declined')
    expect(host.hash()).toBe(before)
    expect((await upgradeIn(host, { confirm: async () => true })).status).toBe('applied')
  })

  it('emits the migrations that are new, after those that are there, and touches none', async () => {
    const host = await installed()
    const before = migrationsOf(host)
    forgetMigration(host, 'extend_toasts')
    forgetMigration(host, 'extend_attempts')
    publish({ 'install/migrations/001_create.sql': (text) => `-- newer\n${text}` })

    const outcome = await upgradeIn(host)
    const toasts = before.find((path) => path.endsWith('_create_toasts/migration.sql'))!
    expect(lines(outcome)).toContain(`keep ${toasts}`)
    expect(host.read(toasts)).not.toContain('newer')
    expect(namesOf(migrationsOf(host))).toEqual([
      'create_toasts',
      'create_attempts',
      'extend_toasts',
      'extend_attempts',
    ])
    expect((await upgradeIn(host)).status).toBe('nothing to do')
  })

  it('a repeated run of a generator emits the migrations of it that are new too', async () => {
    const host = await installed()
    forgetMigration(host, 'extend_toasts')
    await host.run('install')
    expect(namesOf(migrationsOf(host)).at(-1)).toBe('extend_toasts')
  })

  it.each([
    ['one file', sampleHost],
    ['a folder', folderHost],
  ])('emits no migration twice where the manifest was lost, with a schema of %s', async (_shape, make) => {
    const host = await installed(make())
    const before = migrationsOf(host)
    host.remove('.async-gen/manifest.json')
    await host.run('install', [], { onConflict: 'mine' })
    await host.run('attempt', [], { onConflict: 'mine' })
    expect(migrationsOf(host)).toEqual(before)
  })

  it('names what nothing emits any more, and leaves it', async () => {
    const host = await installed()
    const manifest = JSON.parse(host.read('.async-gen/manifest.json'))
    manifest.files['src/async/old.ts'] = { owner: 'install', hash: 'a' }
    host.write('.async-gen/manifest.json', JSON.stringify(manifest))
    host.write('src/async/old.ts', 'export {}\n')
    expect(lines(await upgradeIn(host))).toContain('orphan src/async/old.ts')
    expect(host.has('src/async/old.ts')).toBe(true)
  })

  it.each([
    ['one file', sampleHost, 'prisma/schema.prisma'],
    ['a folder', folderHost, 'prisma/schema/attempts.prisma'],
  ])('merges the models of a schema of %s, with the columns of the user', async (_shape, make, path) => {
    const host = await installed(make())
    edit(host, path, '  target           String\n', '  target           String\n  team             String?\n')
    publish({
      'attempt/schema.prisma': (text) =>
        text.replace('  result           Json?\n', '  result           Json?\n  trace            Json?\n'),
    })
    const outcome = await upgradeIn(host)
    expect(lines(outcome)).toContain(`merge ${path}`)
    expect(host.read(path)).toMatch(/team +String\?/)
    expect(host.read(path)).toMatch(/trace +Json\?/)
  })

  it('changes the models of several files of a folder schema at once', async () => {
    const host = await installed(folderHost())
    const addTrace = (text: string) => text.replace(/^(model .+ \{)\n/m, '$1\n  trace Json?\n')
    publish({ 'install/schema.prisma': addTrace, 'attempt/schema.prisma': addTrace })
    expect(lines(await upgradeIn(host))).toEqual(
      expect.arrayContaining(['update prisma/schema/toasts.prisma', 'update prisma/schema/attempts.prisma']),
    )
  })

  it('never puts markers into a schema, which would not parse', async () => {
    const host = await installed()
    edit(host, 'prisma/schema.prisma', '@default(25)', '@default(3)')
    publish({ 'attempt/schema.prisma': (text) => text.replace('@default(25)', '@default(30)') })
    expect((await upgradeIn(host, { onConflict: 'merge' })).status).toBe('blocked')
    expect((await upgradeIn(host, { onConflict: 'mine' })).status).toBe('applied')
    expect(host.read('prisma/schema.prisma')).toContain('@default(3)')
  })

  it('keeps the line endings of each file', async () => {
    const host = await installed()
    host.write(
      'src/async/attempt.ts',
      host.read('src/async/attempt.ts').replace('super', 'this').replaceAll('\n', '\r\n'),
    )
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })
    expect(lines(await upgradeIn(host))).toContain('merge src/async/attempt.ts')
    expect(host.read('src/async/attempt.ts')).toContain('// newer\r\n')
    expect(host.read('src/async/attempt.ts').replaceAll('\r\n', '')).not.toContain('\n')
  })

  it('raises what install put into package.json', async () => {
    const host = await installed()
    publish({}, '0.3.0')
    await upgradeIn(host)
    expect(JSON.parse(host.read('package.json')).dependencies['@async-gen/runtime']).toBe('^0.3.0')
  })

  it.each([
    [
      'npm run generate && async-worker run src/async/worker.ts',
      'npm run generate && async-worker run src/async/worker.ts',
    ],
    ['async-worker run src/async/worker.ts', 'async-gen-worker run src/async/worker.ts'],
  ])('updates the worker script of 0.1.0 unless the user has changed it (case %#)', async (script, upgraded) => {
    const host = await installed()
    const now = 'async-gen-worker run src/async/worker.ts'
    const of010 = 'async-worker run src/async/worker.ts'
    host.write('package.json', host.read('package.json').replace(now, script))
    host.write('.async-gen/manifest.json', host.read('.async-gen/manifest.json').replace(now, of010))
    await upgradeIn(host)
    expect(JSON.parse(host.read('package.json')).scripts['async:worker']).toBe(upgraded)
    expect((await upgradeIn(host)).status).toBe('nothing to do')
  })

  it('with --check and as a dry run writes nothing, and tells whether it would', async () => {
    const host = await installed()
    expect((await upgradeIn(host, { check: true })).status).toBe('nothing to do')
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })
    const before = host.hash()
    expect((await upgradeIn(host, { check: true })).status).toBe('differs')
    expect((await upgradeIn(host, { dryRun: true })).status).toBe('dry run')
    expect(host.hash()).toBe(before)
  })

  it('is refused to an older async-gen, and where nothing was installed', async () => {
    const host = await installed()
    release.version = '0.0.9'
    await expect(upgradeIn(host)).rejects.toMatchObject({ code: 'OLDER_THAN_HOST', exitCode: 2 })
    await expect(upgradeIn(sampleHost())).rejects.toMatchObject({ code: 'NOT_INSTALLED', exitCode: 2 })
  })

  it('is refused while the client that the code imports is not there', async () => {
    const host = await installed()
    host.remove('src/db.ts')
    await expect(upgradeIn(host)).rejects.toMatchObject({
      code: 'CLIENT_GONE',
      remedy: expect.stringContaining('npx async-gen install --client'),
    })
  })

  it('is proposed by a run of the newer async-gen', async () => {
    const host = await installed()
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })
    const { plan } = await host.run('attempt', ['Other'])
    expect(plan.notes).toEqual(['async-gen 0.1.0 wrote the other files. To update them: npx async-gen upgrade'])
    const upgraded = lines(await upgradeIn(host))
    expect(upgraded).toContain('update src/async/attempt.ts')
    expect(upgraded.filter((line) => line.endsWith('/targets.ts'))).toEqual(['identical src/async/targets.ts'])
  })

  it('loses no line of the user, whatever both sides have changed, and has nothing to do after itself', async () => {
    const host = await installed()
    const path = 'src/async/attempt.factory.ts'
    const emitted = host.read(path)
    let minor = 1
    await fc.assert(
      fc.asyncProperty(places, places, async (mine, theirs) => {
        host.write(path, withLines(emitted, mine, '// mine'))
        publish(
          { 'attempt/async/__file__.factory.ts': (text) => withLines(text, theirs, '// theirs') },
          `0.${++minor}.0`,
        )
        await upgradeIn(host, { onConflict: 'merge' })
        const merged = host.read(path).split('\n')
        for (const i of mine.keys()) expect(merged).toContain(`// mine ${i}`)
        for (const i of theirs.keys()) expect(merged).toContain(`// theirs ${i}`)
        expect((await upgradeIn(host)).plan.writes).toEqual([])
        publish({}, `0.${++minor}.0`)
        await upgradeIn(host, { onConflict: 'theirs' })
        host.write(path, emitted)
        await upgradeIn(host)
      }),
      { numRuns: 15 },
    )
  })

  it('needs no emitted text where the template has not changed', async () => {
    const host = await installed()
    edit(host, 'src/async/attempt.ts', DOC, '// mine')
    host.remove('.async-gen/base')
    expect(lines(await upgradeIn(host))).toContain('keep src/async/attempt.ts')
  })

  it.each([
    ['lost', (host: SampleHost, base: string) => host.remove(base)],
    ['changed', (host: SampleHost, base: string) => host.write(base, host.read('src/async/attempt.ts'))],
  ])('takes a file whose emitted text has been %s for one that is in conflict', async (_what, change) => {
    const host = await installedWithConflict()
    change(host, '.async-gen/base/src/async/attempt.ts.base')
    const outcome = await upgradeIn(host)
    expect(outcome.plan.changes.find(({ kind }) => kind === 'conflict')?.conflict?.base).toBeNull()
  })
})

describe('an ejected template', () => {
  it('wins over ours, is merged at an upgrade, and then renders', async () => {
    const host = await installed()
    await eject({ cwd: host.root, template: CLASS })
    const path = `.async-gen/templates/${CLASS}.hbs`
    expect(host.read(path)).toBe(readFileSync(join(TEMPLATES, `${CLASS}.hbs`), 'utf8'))
    edit(host, path, 'import { db }', "import '../tracing'\nimport { db }")
    publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })

    const { plan } = await host.run('attempt', ['EmailAttempt'])
    expect(host.read('src/async/email_attempt.ts')).toContain("import '../tracing'")
    expect(plan.notes).toContain(
      `your copy of the template ${CLASS} is older than ours. To merge our changes: npx async-gen upgrade`,
    )

    const outcome = await upgradeIn(host)
    expect(lines(outcome)).toContain(`merge ${path}`)
    for (const file of ['src/async/attempt.ts', 'src/async/email_attempt.ts']) {
      expect(host.read(file)).toContain("import '../tracing'")
      expect(host.read(file)).toContain('// newer')
    }
    expect((await upgradeIn(host)).status).toBe('nothing to do')
  })

  it('may be a whole folder of them; one that is not there is refused with a list', async () => {
    const host = await installed()
    await eject({ cwd: host.root, template: 'reports/' })
    expect(host.has('.async-gen/templates/reports/async/__file__.ts.hbs')).toBe(true)
    await expect(eject({ cwd: host.root, template: 'atempt' })).rejects.toMatchObject({
      code: 'TEMPLATE_UNKNOWN',
      remedy: expect.stringContaining(CLASS),
    })
  })
})

describe("the host's formatter", () => {
  it('formats what is emitted, and only that', async () => {
    const host = await installed(prettierHost())
    expect(host.read('src/async/worker.ts')).toContain('import { runWorker } from "@async-gen/runtime";\n')
    expect(host.read('src/db.ts')).toContain("'./generated/client.js'\n")
    expect(host.read('.async-gen/manifest.json')).toContain('\n\t"version": 1')
    expect(kinds(await host.run('install'))).toEqual(['identical'])
  })

  it('may be dprint, whose program is where its package says, and which takes no path that is not there', async () => {
    // dprint itself is 27 MB: this takes its arguments as 0.57 does.
    const program = `
      const { existsSync, readFileSync } = require('node:fs')
      const [fmt, stdin, file] = process.argv.slice(2)
      if (fmt !== 'fmt' || stdin !== '--stdin' || !file.endsWith('.ts') || (file.includes('/') && !existsSync(file))) process.exit(1)
      process.stdout.write('// formatted\\n' + readFileSync(0, 'utf8').replace('// formatted\\n', ''))`
    const host = await installed(
      sampleHost({
        'dprint.json': '{}',
        'node_modules/dprint/package.json': '{ "bin": "bin.cjs" }',
        'node_modules/dprint/bin.cjs': program,
      }),
    )
    expect(host.read('src/async/worker.ts')).toMatch(/^\/\/ formatted\nimport/)
    expect(kinds(await host.run('install'))).toEqual(['identical'])
  })

  it('may be Biome without its package for this platform, whose script is run', async () => {
    const script = `
      const [check, , , file] = process.argv.slice(2)
      if (check !== 'check' || !file.startsWith('--stdin-file-path=src/async/')) process.exit(1)
      process.stdout.write('// formatted\\n' + require('node:fs').readFileSync(0, 'utf8'))`
    const host = await installed(
      sampleHost({
        'biome.json': '{}',
        'node_modules/@biomejs/biome/package.json': '{ "name": "@biomejs/biome" }',
        'node_modules/@biomejs/biome/bin/biome': script,
      }),
    )
    expect(host.read('src/async/worker.ts')).toMatch(/^\/\/ formatted\nimport/)
  })

  it('takes no other style for an edit, and merges as it is now', async () => {
    const host = await installed(prettierHost())
    host.write('.prettierrc', '{ "singleQuote": true }')
    host.write('src/async/worker.ts', host.read('src/async/worker.ts').replaceAll('"', "'"))
    const outcome = await upgradeIn(host)
    expect(kinds(outcome)).not.toContain('keep')
    expect(host.read('src/async/worker.ts')).toContain("from '@async-gen/runtime';")
    publish({ 'install/async/worker.ts': (text) => `${text}// newer\n` })
    const worker = host.read('src/async/worker.ts')
    host.write('src/async/worker.ts', worker.replace('\n\n', '\n\n\n'))
    expect(lines(await upgradeIn(host, { dryRun: true }))).toContain('update src/async/worker.ts')
    host.write('src/async/worker.ts', worker)
    edit(host, 'src/async/worker.ts', 'import { runWorker', "import './tracing';\nimport { runWorker")
    expect(lines(await upgradeIn(host))).toContain('merge src/async/worker.ts')
    expect(host.read('src/async/worker.ts')).toMatch(/^import '.\/tracing';\n[\s\S]*\/\/ newer\n$/)
  })

  it('leaves alone what it is told to ignore, and what it cannot read', async () => {
    const host = await installed(prettierHost({ '.prettierignore': 'src/async/worker.ts\n' }))
    expect(host.read('src/async/worker.ts')).toContain("import { runWorker } from '@async-gen/runtime'\n")
    expect(host.read('src/async/database.ts')).toContain('"@async-gen/runtime";')
    host.write('.prettierrc', '{ "semi": "perhaps" }')
    expect((await host.run('attempt', ['Other'])).status).toBe('applied')
  })

  function prettierHost(files: Record<string, string> = {}) {
    return sampleHost({ '.prettierrc': '{ "useTabs": true }', ...files }, { packages: ['prettier'] })
  }
})

/** A newer async-gen, whose templates differ so. */
function publish(changes: Record<string, (text: string) => string>, version = '0.2.0') {
  const folder = mkdtempSync(join(tmpdir(), 'async-gen-templates-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  cpSync(TEMPLATES, folder, { recursive: true })
  for (const [template, change] of Object.entries(changes)) {
    const file = join(folder, `${template}.hbs`)
    const text = readFileSync(file, 'utf8')
    expect(change(text), template).not.toBe(text)
    writeFileSync(file, change(text))
  }
  Object.assign(release, { version, templates: folder })
}

const places = fc.array(fc.nat(), { minLength: 1, maxLength: 4 })

/** The text with lines of somebody's own, each somewhere. */
function withLines(text: string, where: number[], what: string): string {
  return where.reduce((before, place, i) => {
    const lines = before.split('\n')
    return lines.toSpliced(place % lines.length, 0, `${what} ${i}`).join('\n')
  }, text)
}

/** With what 0.1.0 has generated. */
async function installed(host?: SampleHost) {
  const runs: GeneratorRun[] = [['install'], ['attempt']]
  if (!host) return await generatedHost(runs)
  for (const run of runs) await host.run(...run)
  return host
}

async function installedWithConflict() {
  const host = await installed()
  edit(host, 'src/async/attempt.ts', DOC, '// mine')
  publish({ [CLASS]: (text) => text.replace(DOC, '// newer') })
  return host
}

function edit(host: SampleHost, path: string, from: string, to: string) {
  const text = host.read(path)
  expect(text).toContain(from)
  host.write(path, text.replace(from, to))
}

/** Makes the host one of a version that had no such migration. */
function forgetMigration(host: SampleHost, name: string) {
  const manifest = JSON.parse(host.read('.async-gen/manifest.json'))
  delete manifest.migrations[name]
  host.write('.async-gen/manifest.json', JSON.stringify(manifest))
  host.remove(
    migrationsOf(host)
      .find((path) => path.endsWith(`_${name}/migration.sql`))!
      .replace('/migration.sql', ''),
  )
}

function namesOf(migrations: string[]) {
  return migrations.map((path) => /\/\d+_(\w+)\//.exec(path)?.[1])
}

function migrationsOf(host: SampleHost) {
  return host.files().filter((path) => path.endsWith('/migration.sql'))
}

function upgradeIn(host: SampleHost, request: Partial<UpgradeRequest> = {}) {
  return upgrade({ cwd: host.root, ...request })
}
