import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type SampleHost, sampleHost } from './sample-host.js'

const BIN = fileURLToPath(new URL('../../bin/async-gen.ts', import.meta.url))
const TSX = import.meta.resolve('tsx')

describe('the command line', () => {
  it('prints what it does in the manner of Rails, and what to do next', () => {
    const host = sampleHost()
    const { status, stdout, stderr } = asyncGen(host, 'install')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^ {6}create {2}src\/async\/database\.ts$/m)
    expect(stdout).toMatch(/^ {6}update {2}package\.json$/m)
    expect(stdout).toMatch(/^Next:\n {2}1\. npm install\n {2}2\. npx prisma migrate dev /m)
    expect(stdout).not.toContain('\u001b[')

    const again = asyncGen(host, 'install')
    expect(again.status).toBe(0)
    expect(again.stdout).toMatch(/^ {3}identical {2}src\/async\/database\.ts$/m)
    expect(again.stdout).not.toContain('Next:')
  })

  it('prints an error with its code, its place and the remedy, on stderr alone', () => {
    const { status, stdout, stderr } = asyncGen(sampleHost({ 'package.json': null }), 'install')
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' })
    expect(stderr).toMatch(
      /^error {2}There is no package\.json here\. {2}\[NO_PACKAGE_JSON\]\n {4}in {2}\/.*\n {4}do {2}Run /,
    )
  })

  it('exits with 3 and writes nothing where a file of the user is in the way', () => {
    const host = sampleHost({ 'src/async/worker.ts': '// mine\n' })
    const before = host.hash()
    const { status, stdout } = asyncGen(host, 'install')
    expect(status).toBe(3)
    expect(stdout).toMatch(/^ {4}conflict {2}src\/async\/worker\.ts/m)
    expect(stdout).toContain('Nothing was written.')
    expect(host.hash()).toBe(before)
  })

  it.each([
    [['install', '--dry-rn'], '--dry-run'],
    [['instal'], 'install'],
    [['attempt', '--clinet', 'src/db.ts'], '--client'],
  ])('refuses %j before anything is read, with a suggestion', (args, suggestion) => {
    const host = sampleHost({ 'package.json': 'not read' })
    const { status, stderr } = asyncGen(host, ...args)
    expect(status).toBe(2)
    expect(stderr).toContain(`Did you mean ${suggestion}?`)
  })

  it.each([[['install', 'Surplus']], [['attempt', 'One', 'Two']], [[]]])('refuses %j', (args) => {
    expect(asyncGen(sampleHost(), ...args).status).toBe(2)
  })

  it('shows colours on a terminal only, and never with NO_COLOR', () => {
    const host = sampleHost()
    expect(asyncGenIn(host, { FORCE_COLOR: '1' }, 'install', '--dry-run').stdout).toContain('\u001b[32m')
    expect(asyncGenIn(host, { FORCE_COLOR: '', NO_COLOR: '1' }, 'install', '--dry-run').stdout).not.toContain('\u001b[')
  })

  it.each([[['--help']], [['--version']], [['install', '--help']]])(
    '%j loads neither plop nor Handlebars nor the parser',
    (args) => {
      const hooks = `export async function resolve(specifier, context, next) {
      process._rawDebug('loads ' + specifier)
      return next(specifier, context)
    }`
      const register = `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(hooks))})`
      const { status, stdout, stderr } = node(process.cwd(), {}, [
        '--import',
        dataUrl(register),
        '--import',
        TSX,
        BIN,
        ...args,
      ])
      expect(status).toBe(0)
      expect(stdout).toMatch(/^Usage: async-gen|^\d+\.\d+\.\d+/)
      expect(stderr).toContain('loads commander')
      expect(stderr).not.toMatch(/loads .*(plop|handlebars|schema-wasm|clack|run\.js)/)
    },
  )

  it('shows examples in its help', () => {
    const { stdout } = asyncGen(sampleHost(), '--help')
    for (const command of ['install', 'attempt ', 'reports MonthlySales'])
      expect(stdout).toContain(`$ npx async-gen ${command} `)
  })
})

function asyncGen(host: SampleHost, ...args: string[]) {
  return asyncGenIn(host, {}, ...args)
}

function asyncGenIn(host: SampleHost, env: NodeJS.ProcessEnv, ...args: string[]) {
  return node(host.root, env, ['--import', TSX, BIN, ...args])
}

function node(cwd: string, env: NodeJS.ProcessEnv, args: string[]) {
  const { FORCE_COLOR, NO_COLOR, CI, ...rest } = process.env
  return spawnSync(process.execPath, args, { cwd, env: { ...rest, ...env }, encoding: 'utf8' })
}

function dataUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`
}
