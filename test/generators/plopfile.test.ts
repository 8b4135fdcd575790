import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import nodePlop from 'node-plop'
import { describe, expect, it } from 'vitest'
import plopfile from '../../generators/commands/plopfile.js'
import { sampleHost } from './sample-host.js'

describe("a host's own plopfile", () => {
  it('has the generators, with their prompts', async () => {
    const plop = await nodePlop()
    plopfile(plop)
    expect(plop.getGeneratorList().map(({ name }) => name)).toEqual([
      'install',
      'attempt',
      'reports',
      'dashboard',
      'deploy',
    ])
    expect(plop.getGenerator('attempt').prompts).toMatchObject([{ name: 'name', default: 'Attempt' }])
  })

  it('runs them in the host, whole or not at all', async () => {
    const host = sampleHost()
    const plop = await nodePlop('', { destBasePath: host.root, force: false })
    plopfile(plop)
    const { changes } = await plop.getGenerator('install').runActions({})
    expect(changes[0]!.path).toContain('create  src/async/worker.ts')
    await plop.getGenerator('reports').runActions({ name: 'MonthlySales, weekly-sales' })
    expect(host.has('src/async/reports/weekly_sales.ts')).toBe(true)
  })

  it('shows a refusal as a failure', async () => {
    const host = sampleHost({ 'src/async/worker.ts': '// mine\n' })
    const plop = await nodePlop('', { destBasePath: host.root, force: false })
    plopfile(plop)
    const { failures } = await plop.getGenerator('install').runActions({})
    expect(failures[0]!.error).toContain('conflict  src/async/worker.ts')
    expect(host.has('src/async/database.ts')).toBe(false)
  })

  it('loads them in plop itself, which runs them by name', () => {
    const host = sampleHost({
      'plopfile.mjs': `export default (plop) => plop.load(${JSON.stringify(new URL('../../generators/commands/plopfile.ts', import.meta.url).pathname)})\n`,
    })
    const plop = createRequire(import.meta.url).resolve('plop/bin/plop.js')
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), plop, 'install', '--plopfile', `${host.root}/plopfile.mjs`],
      { cwd: host.root, encoding: 'utf8' },
    )
    expect(stdout).toContain('create  src/async/worker.ts')
    expect(status).toBe(0)
    expect(host.has('src/async/worker.ts')).toBe(true)
  })
})
