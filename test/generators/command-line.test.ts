import { spawnSync } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { answerTo } from '../../bin/answer.js'
import { commandLine } from '../../bin/commands.js'
import { version } from '../../generators/host/own-package.js'
import { compiled } from '../support/programs.js'
import { type SampleHost, sampleHost } from './sample-host.js'

const bin = compiled('bin/async-gen.ts')

// Each of these starts a process, some of them several.
vi.setConfig({ testTimeout: 180_000 })

describe('the command line', () => {
  it('prints what it does in the manner of Rails, and what to do next', async () => {
    const host = sampleHost({ 'prisma/migrations/20240101000000_init/migration.sql': '' })
    const { status, stdout, stderr } = program(host, {}, 'install')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^ {6}create {2}src\/async\/database\.ts$/m)
    expect(stdout).toMatch(/^ {6}update {2}package\.json$/m)
    expect(stdout).toMatch(/^Next:\n {2}1\. npm install .*\n {2}2\. npx prisma migrate dev /m)
    expect(stdout).not.toContain('\u001b[')

    const again = await asyncGen(host, 'install')
    expect(again.status).toBe(0)
    expect(again.stdout).toMatch(/^ {3}identical {2}src\/async\/database\.ts$/m)
    expect(again.stdout).toMatch(/^ {3}identical {2}package\.json$/m)
    expect(again.stdout).toMatch(/\n\nNothing to do\.\n$/)
    expect((await asyncGen(host, 'upgrade')).stdout).toBe('Nothing to do.\n')

    const { stdout: more } = await asyncGen(host, 'attempt')
    expect(more).toMatch(/^ {6}update {2}prisma\/schema\.prisma {2}\(attempts\)$/m)
    expect(more).toMatch(/^ {6}update {2}\.async-gen\/manifest\.json {2}\(commit \.async-gen too\)$/m)

    host.write('src/async/worker.ts', '// mine\n')
    expect((await asyncGen(host, 'install')).stdout).toContain(
      '        keep  src/async/worker.ts  (your version stays)\n',
    )
  })

  it('prints an error with its code, its place and the remedy, on stderr alone', async () => {
    const { status, stdout, stderr } = program(sampleHost({ 'package.json': null }), {}, 'install')
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' })
    expect(stderr).toMatch(
      /^error {2}There is no package\.json in this folder\. {2}\[NO_PACKAGE_JSON\]\n {4}in {2}\/.*\n {4}do {2}Run /,
    )
  })

  it('exits with 3 and writes nothing where a file of the user is in the way', async () => {
    const host = sampleHost({ 'src/async/worker.ts': '// mine\n' })
    const before = host.hash()
    const { status, stdout } = await asyncGen(host, 'install')
    expect(status).toBe(3)
    expect(stdout).toMatch(
      /^ {4}conflict {2}src\/async\/worker\.ts {2}\(the file exists, and async-gen did not write it\)$/m,
    )
    expect(stdout).toContain('Nothing was written.')
    expect(host.hash()).toBe(before)
  })

  it.each([
    [['install', '--dry-rn'], '--dry-run'],
    [['instal'], 'install'],
    [['attempt', '--clinet', 'src/db.ts'], '--client'],
  ])('refuses %j before anything is read, with a suggestion', async (args, suggestion) => {
    const host = sampleHost({ 'package.json': 'not read' })
    const { status, stderr } = await asyncGen(host, ...args)
    expect(status).toBe(2)
    expect(stderr).toContain(`Did you mean ${suggestion}?`)
  })

  it.each([[['install', 'Surplus']], [['attempt', 'One', 'Two']], [[]]])('refuses %j', async (args) => {
    expect((await asyncGen(sampleHost(), ...args)).status).toBe(2)
  })

  it('shows colours on a terminal only, and never with NO_COLOR', () => {
    const host = sampleHost({ 'src/async/worker.ts': '// mine\n' })
    const shown = program(host, { FORCE_COLOR: '1' }, 'install', '--diff').stdout.split('\n')
    const [red, green, cyan] = [31, 32, 36].map((color) => (text: string) => `\u001b[${color}m${text}\u001b[39m`)
    expect(shown).toEqual(
      expect.arrayContaining([
        `${green!('      create')}  src/async/toasts.ts`,
        '--- a/package.json',
        '+++ b/package.json',
        '   "type": "module",',
        '+++ src/async/worker.ts (async-gen)',
        cyan!('@@ -1,1 +1,6 @@'),
        red!('-// mine'),
        green!("+import { runWorker } from '@async-gen/runtime'"),
      ]),
    )
    expect(program(host, { FORCE_COLOR: '', NO_COLOR: '1' }, 'install', '--dry-run').stdout).not.toContain('\u001b[')
  })

  it.each([[['--help']], [['--version']], [['install', '--help']]])(
    '%j loads neither plop nor Handlebars nor the parser',
    (args) => {
      const hooks = `export async function resolve(specifier, context, next) {
      process._rawDebug('loads ' + specifier)
      return next(specifier, context)
    }`
      const register = `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(hooks))})`
      const { status, stdout, stderr } = node(process.cwd(), {}, ['--import', dataUrl(register), bin, ...args])
      expect(status).toBe(0)
      expect(stdout).toMatch(/^Usage: async-gen|^\d+\.\d+\.\d+/)
      expect(stderr).toContain('loads commander')
      expect(stderr).not.toMatch(/loads .*(plop|handlebars|schema-wasm|clack|run\.js)/)
    },
  )

  it('with --json prints one object on stdout, and nothing else, whatever the prisma.config prints', async () => {
    const host = sampleHost({ 'prisma.config.ts': "console.log('hello')\nexport default {}\n" })
    const { status, stdout, stderr } = program(host, {}, 'install', '--json')
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'hello\n' })
    const object = JSON.parse(stdout)
    expect(object).toMatchObject({ version: 1, command: 'install', exitCode: 0, status: 'applied', notes: [] })
    expect(object.changes).toContainEqual({ kind: 'create', path: 'src/async/database.ts' })
    expect(object.changes).toContainEqual({
      kind: 'create',
      path: '.async-gen/manifest.json',
      detail: 'commit .async-gen too',
    })
    expect(object.nextSteps[0]).toMatch(/^npm install /)

    const refused = await asyncGen(sampleHost({ 'package.json': null }), 'install', '--json')
    expect(refused.status).toBe(4)
    expect(JSON.parse(refused.stdout)).toMatchObject({ version: 1, exitCode: 4, error: { code: 'NO_PACKAGE_JSON' } })
    expect(refused.stderr).toBe('')
  })

  it.each([
    [['install', '--dry-rn', '--json'], 2, "unknown option '--dry-rn'\n(Did you mean --dry-run?)"],
    [['instal', '--json'], 2, "unknown command 'instal'\n(Did you mean install?)"],
    [['--json'], 2, "unknown option '--json'"],
    [['install', '--json=yes'], 2, "unknown option '--json=yes'"],
    [['install', '--on-conflict', 'hers', '--json'], 2, "argument 'hers' is invalid"],
    [['attempt', 'One', 'Two', '--json'], 2, 'too many arguments'],
    [['destroy', '--json'], 2, "missing required argument 'generator'"],
    [['completion', 'tcsh', '--json'], 2, "unknown option '--json'"],
  ])('with --json prints one object on stdout when %j is refused', async (args, exitCode, message) => {
    const { status, stdout, stderr } = await asyncGen(sampleHost({ 'package.json': 'not read' }), ...args)
    expect({ status, stderr }).toEqual({ status: exitCode, stderr: '' })
    const { error, ...rest } = JSON.parse(stdout)
    expect(rest).toMatchObject({ version: 1, exitCode })
    expect(error).toEqual({ code: 'USAGE', message: expect.stringContaining(message), remedy: expect.any(String) })
  })

  it.each([[['install', '--help', '--json']], [['--version', '--json']], [['--help', '--json']], [['help', '--json']]])(
    'with --json prints one object on stdout for %j',
    async (args) => {
      const { status, stdout } = await asyncGen(sampleHost(), ...args)
      expect(status).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({
        version: 1,
        exitCode: 0,
        text: expect.stringMatching(/async-gen|^\d/),
      })
    },
  )

  it('ends with a documented exit code, without a stack, and with --json with one object, whatever it is given', async () => {
    const word = fc.oneof(
      fc.constantFrom(
        'install',
        'attempt',
        'reports',
        'dashboard',
        'deploy',
        'upgrade',
        'diff',
        'destroy',
        'eject',
        'doctor',
        'info',
      ),
      fc.constantFrom(
        'completion',
        'bash',
        'help',
        '--help',
        '--version',
        '--json',
        '--jsno',
        '--',
        '-',
        '-x',
        '--yes',
      ),
      fc.constantFrom(
        '--dir',
        '--client',
        '--schema',
        '--model',
        '--check',
        '--cwd',
        '../x',
        '/',
        '.',
        '__proto__',
        '',
      ),
      fc.string({ minLength: 1 }).map((text) => text.replaceAll('\0', '')),
    )
    const host = sampleHost()
    const before = host.hash()
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 5 }), fc.boolean(), async (words, json) => {
        // After a lone -- everything is an argument.
        const end = words.includes('--') ? words.indexOf('--') : words.length
        const args = words.toSpliced(end, 0, '--check', ...(json ? ['--json'] : []))
        const { status, stdout, stderr } = await asyncGen(host, ...args)
        expect([0, 2, 3, 4, 5, 6]).toContain(status)
        expect(stdout + stderr).not.toMatch(/^ +at /m)
        if (args.some((each) => /^--json(=|$)/.test(each))) expect(JSON.parse(stdout)).toMatchObject({ version: 1 })
      }),
      { numRuns: 50 },
    )
    expect(host.hash()).toBe(before)
  })

  it('with --diff shows every line that would change, and writes nothing', async () => {
    const host = sampleHost()
    const before = host.hash()
    const { status, stdout } = await asyncGen(host, 'install', '--diff')
    expect(status).toBe(0)
    expect(stdout).toContain(
      "--- /dev/null\n+++ b/src/async/worker.ts\n@@ -0,0 +1,6 @@\n+import { runWorker } from '@async-gen/runtime'",
    )
    expect(stdout).toContain('+    "async:worker": ')
    expect(stdout).not.toContain('.async-gen/base')
    expect(host.hash()).toBe(before)
  })

  it('with --diff and --json prints a patch that git applies, for files that are new, changed and deleted', async () => {
    const [host, patched] = [sampleHost(), sampleHost()]
    const written = ({ files, read }: SampleHost) =>
      files().flatMap((path) => (path.startsWith('.async-gen/') ? [] : [[path.replace(/\d{14}/, ''), read(path)]]))
    const before = written(host)
    const applyDiff = async ({ root }: SampleHost, ...args: string[]) => {
      const { diff } = JSON.parse((await asyncGen(host, ...args, '--diff', '--json')).stdout)
      const { stderr } = spawnSync('git', ['apply', '-'], { cwd: root, input: `${diff}\n`, encoding: 'utf8' })
      expect(stderr).toBe('')
    }

    await applyDiff(patched, 'install')
    await host.run('install')
    expect(written(patched)).toEqual(written(host))
    await applyDiff(host, 'destroy', 'install', '--migration', 'delete-unchecked')
    expect(written(host)).toEqual(before)
  })

  it('with --diff shows both sides of a conflict', async () => {
    const { status, stdout } = await asyncGen(sampleHost({ 'src/async/worker.ts': '// mine\n' }), 'install', '--diff')
    expect(status).toBe(3)
    expect(stdout).toContain(
      '--- src/async/worker.ts (yours)\n+++ src/async/worker.ts (async-gen)\n@@ -1,1 +1,6 @@\n-// mine\n+import ',
    )
  })

  it('with --check ends with 5 where something would be written, and with 0 where nothing would', async () => {
    const host = sampleHost()
    const before = host.hash()
    expect((await asyncGen(host, 'install', '--check')).status).toBe(5)
    expect(host.hash()).toBe(before)
    await host.run('install')
    expect((await asyncGen(host, 'upgrade', '--check')).status).toBe(0)
  })

  it('lists the templates that can be ejected, and ejects one', async () => {
    const host = sampleHost()
    await host.run('install')
    const { stdout } = await asyncGen(host, 'eject')
    expect(stdout.split('\n')).toContain('install/async/worker.ts')
    expect((await asyncGen(host, 'eject', 'install/async/worker.ts')).stdout).toMatch(
      /^ {6}create {2}\.async-gen\/templates\/install/m,
    )
  })

  it('takes out what a generator wrote', async () => {
    const host = sampleHost()
    const before = host.hash()
    await host.run('install')
    const { status, stdout } = await asyncGen(host, 'destroy', 'install', '--migration', 'delete-unchecked')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^ {6}delete {2}src\/async\/worker\.ts$/m)
    expect(stdout).toMatch(/^ {6}delete {2}\.async-gen\/manifest\.json$/m)
    expect(host.hash()).toBe(before)
    expect((await asyncGen(host, 'destroy', 'instal')).stderr).toContain('[GENERATOR_UNKNOWN]')
  })

  it.each([
    ['npm', 'package-lock.json', 'npx', 'npm install'],
    ['pnpm', 'pnpm-lock.yaml', 'pnpm exec', 'pnpm add'],
    ['yarn', 'yarn.lock', 'yarn', 'yarn add'],
    ['bun', 'bun.lock', 'bunx', 'bun add'],
  ])('names the commands of %s in errors, steps, findings and facts', async (_name, lockFile, exec, add) => {
    const host = sampleHost({ [lockFile]: '{}' })
    expect((await asyncGen(host, 'attempt')).stderr).toContain(`Run this first: ${exec} async-gen install.`)
    expect((await asyncGen(host, 'info')).stdout).toContain(`not installed: ${exec} async-gen install`)
    expect((await asyncGen(host, 'install')).stdout).toContain(`2. ${exec} prisma migrate dev `)
    host.remove('src/db.ts')
    host.write('node_modules/graphile-worker/package.json', '{ "version": "0.16.6" }')
    for (const flags of [[], ['--json']]) {
      const { stdout } = await asyncGen(host, 'doctor', ...flags)
      expect(stdout).toContain(`Name the new module: ${exec} async-gen install --client`)
      expect(stdout).toContain(`${add} graphile-worker@^0.`)
    }
    const older = sampleHost({ [lockFile]: '{}', 'node_modules/prisma/package.json': '{ "version": "6.15.0" }' })
    expect((await asyncGen(older, 'install')).stderr).toContain(`${add} prisma@^6.19.0 @prisma/client@^6.19.0`)
  })

  it('shows files as they are, and not with the commands of the package manager', async () => {
    const { stdout } = await asyncGen(sampleHost({ 'pnpm-lock.yaml': '' }), 'install', '--diff')
    expect(stdout).toContain('`npx async-gen install --invalidate-on <Model>`')
  })

  it('says what it sees of the host', async () => {
    const { stdout } = await asyncGen(sampleHost({ 'pnpm-lock.yaml': '' }), 'info', '--json')
    expect(JSON.parse(stdout).host).toMatchObject({
      packageManager: 'pnpm',
      modules: 'esm',
      importEnding: '.js',
      schema: 'prisma/schema.prisma',
      provider: 'postgresql',
      clients: ['src/db.ts#prisma'],
      testRunner: 'vitest',
      formatter: null,
      installed: null,
    })
  })

  it('says it in words, without --json', async () => {
    const host = sampleHost()
    const { stdout } = await asyncGen(host, 'info')
    expect(stdout).not.toMatch(/[[\]{}"]|null|undefined|true|false/)
    expect(stdout).toMatch(/^ +schema {2}prisma\/schema\.prisma, 1 model$/m)
    expect(stdout).toMatch(/^ +async-gen {2}not installed: npx async-gen install$/m)
    await host.run('install')
    expect((await asyncGen(host, 'info')).stdout).toMatch(/^ +async-gen {2}[\d.]+, in src\/async: install$/m)
  })

  it('says in doctor what was not looked at, and with --check ends with 6 for it', async () => {
    const host = sampleHost({
      'node_modules/@async-gen/runtime/package.json': JSON.stringify({ version }),
      'node_modules/graphile-worker/package.json': '{ "version": "0.17.3" }',
    })
    await host.run('install')
    vi.stubEnv('DATABASE_URL', '')
    onTestFinished(() => void vi.unstubAllEnvs())
    const { status, stdout } = await asyncGen(host, 'doctor')
    expect(status).toBe(0)
    expect(stdout).toContain('The database was not checked: DATABASE_URL is not set.')
    expect(stdout).not.toContain('All is well')
    expect((await asyncGen(host, 'doctor', '--check')).status).toBe(6)
    const json = JSON.parse((await asyncGen(host, 'doctor', '--check', '--json')).stdout)
    expect(json).toMatchObject({ exitCode: 6, healthy: true, unchecked: [{ code: 'DATABASE_URL_MISSING' }] })
  })

  it('completes commands and flags in bash', async () => {
    const { stdout } = await asyncGen(sampleHost(), 'completion', 'bash')
    const typed = (words: string[]) =>
      spawnSync(
        'bash',
        [
          '-c',
          `${stdout}\nCOMP_WORDS=(${words.join(' ')}) COMP_CWORD=${words.length - 1}; _async_gen; echo "\${COMPREPLY[@]}"`,
        ],
        {
          encoding: 'utf8',
        },
      ).stdout.trim()
    expect(typed(['async-gen', 'in'])).toBe('install info')
    expect(typed(['async-gen', 'reports', '--mo'])).toBe('--model')
    expect(typed(['async-gen', 'deploy', 'k'])).toBe('kubernetes')
    expect(typed(['async-gen', 'dashboard', '--framework', 'ne'])).toBe('nestjs next')
    expect(typed(['async-gen', 'destroy', 're'])).toBe('reports')
    expect(typed(['async-gen', 'destroy', 'attempt', '--migration', 'd'])).toBe('drop delete delete-unchecked')
    expect(typed(['async-gen', 'upgrade', '--on-conflict', 'm'])).toBe('mine merge')
    expect(typed(['async-gen', 'eject', 'install/async/w'])).toBe('install/async/worker.ts')
    expect(typed(['async-gen', 'install', '--schema', ''])).toBe('')
    expect((await asyncGen(sampleHost(), 'completion', 'zsh')).stdout).toMatch(/^#compdef async-gen\n/)
    expect((await asyncGen(sampleHost(), 'completion', 'fish')).stdout).toContain(
      "__fish_seen_subcommand_from reports' -l model",
    )
    expect((await asyncGen(sampleHost(), 'completion', 'tcsh')).status).toBe(2)
  })

  it('shows examples in the help of each command', () => {
    const program = commandLine('0.0.0', async () => {})
    for (const command of program.commands) {
      let help = ''
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
      const [, examples = ''] = help.split('\nExamples:\n')
      expect(examples.trimEnd().split('\n'), command.name()).toSatisfy((lines: string[]) =>
        lines.every((line) => /^ {2}\$ (\w+=\S+ |source <\()?npx async-gen \w/.test(line)),
      )
    }
  })

  it('shows the flags of a command first in its help, then those of all', async () => {
    const { stdout } = await asyncGen(sampleHost(), 'attempt', '--help')
    const at = (flag: string) => stdout.indexOf(`  ${flag}`)
    expect(at('--encrypted')).toBeLessThan(at('--dir'))
    expect(at('--dir')).toBeLessThan(at('--cwd'))
  })

  it('shows examples in its help', async () => {
    const { stdout } = await asyncGen(sampleHost(), '--help')
    for (const command of ['install', 'attempt ', 'reports MonthlySales'])
      expect(stdout).toContain(`$ npx async-gen ${command} `)
  })
})

/** What the program prints in a host, without a process for each command. */
async function asyncGen(host: SampleHost, ...args: string[]) {
  const before = process.cwd()
  process.chdir(host.root)
  try {
    const { stdout, stderr, exitCode } = await answerTo(args)
    return { status: exitCode, stdout: stripVTControlCharacters(stdout), stderr: stripVTControlCharacters(stderr) }
  } finally {
    process.chdir(before)
  }
}

/** The program, as a process. */
function program(host: SampleHost, env: NodeJS.ProcessEnv, ...args: string[]) {
  return node(host.root, env, [bin, ...args])
}

function node(cwd: string, env: NodeJS.ProcessEnv, args: string[]) {
  const { FORCE_COLOR, NO_COLOR, CI, ...rest } = process.env
  return spawnSync(process.execPath, args, { cwd, env: { ...rest, ...env }, encoding: 'utf8' })
}

function dataUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`
}
