import { describe, expect, it } from 'vitest'
import { destroy } from '../../generators/commands/destroy.js'
import { doctor } from '../../generators/commands/doctor/doctor.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import { kinds, lines, type SampleHost, sampleHost } from './sample-host.js'

const FILE = 'src/async/dashboard.ts'

/** A host with install and attempt, whose package.json names these packages too. */
async function installed(packages: string[] = [], files: Record<string, string> = {}): Promise<SampleHost> {
  const dependencies = Object.fromEntries(['prisma', ...packages].map((name) => [name, '*']))
  const host = sampleHost({ 'package.json': JSON.stringify({ name: 'host', type: 'module', dependencies }), ...files })
  await host.run('install')
  await host.run('attempt')
  return host
}

const emitted = ({ files }: SampleHost) => files().filter((path) => /dashboard\.ts$|route\.ts$/.test(path))

describe('async-gen dashboard', () => {
  it.each([
    [['express'], 'mountDashboard(app)'],
    [['fastify'], 'app.register(dashboardPlugin)'],
    [['hono'], "app.route('/async', dashboardApp)"],
    [['@nestjs/core', '@nestjs/platform-express', 'express'], 'mountDashboard(app)'],
    [['next', 'react'], 'The page is /async'],
    [['koa'], 'dashboardListener'],
  ])('finds what the application uses: %s', async (packages, mount) => {
    const host = await installed(packages)
    const { nextSteps } = await host.run('dashboard')
    expect(nextSteps.join('\n')).toContain(mount)
    expect(host.read(FILE)).toContain(packages[0] === 'next' ? 'asyncDashboard' : mount.replace(/^app\.|\(.*$/g, ''))
  })

  it('refuses to guess between several frameworks, and takes the one of --framework', async () => {
    const host = await installed(['next', 'express'])
    await expect(host.run('dashboard')).rejects.toMatchObject({
      code: 'FRAMEWORK_AMBIGUOUS',
      message: 'package.json names several frameworks: next, express.',
    })
    await host.run('dashboard', [], { framework: 'express' })
    expect(host.read(FILE)).toContain('export function mountDashboard')
    await expect(host.run('dashboard', [], { framework: 'koa' })).rejects.toMatchObject({ code: 'FRAMEWORK_UNKNOWN' })
  })

  it('remembers the framework, and writes nothing when it is run again', async () => {
    const host = await installed(['next', 'fastify'])
    await host.run('dashboard', [], { framework: 'fastify' })
    const before = host.hash()
    expect((await host.run('dashboard')).status).toBe('nothing to do')
    expect(kinds(await upgrade({ cwd: host.root }))).toEqual(['identical'])
    expect(host.hash()).toBe(before)
  })

  it('lists what was generated, and adds what is generated later without touching an edit', async () => {
    const host = await installed(['express'])
    await host.run('dashboard')
    expect(host.read(FILE)).toContain('attempts: [Attempt],')
    expect(host.read(FILE)).not.toContain('reports:')
    host.write(FILE, host.read(FILE).replace('return false', "return _request.headers.has('x-admin')"))
    await host.run('attempt', ['EmailAttempt'])
    await host.run('reports', ['MonthlySales'])
    expect(lines(await host.run('dashboard'))).toContain(`merge ${FILE}`)
    const text = host.read(FILE)
    expect(text).toContain("import { EmailAttempt } from './email_attempt.js'")
    expect(text).toContain("import { MonthlySales } from './reports/monthly_sales.js'")
    expect(text).toContain('attempts: [Attempt, EmailAttempt],\n  reports: [MonthlySales],')
    expect(text).toContain("return _request.headers.has('x-admin')")
  })

  it('names only the steps that may be open when it is run again', async () => {
    const host = await installed(['express'])
    const mount = 'Mount it, before the handler of errors: mountDashboard(app)'
    const steps = async () => {
      const { nextSteps } = await host.run('dashboard')
      return nextSteps.filter((step) => !step.includes('prisma') && !step.startsWith('npm'))
    }
    const rule = `Say in ${FILE} who may use the dashboard: authorize(). `
    expect(await steps()).toEqual([`${rule}${mount}`])
    await host.run('attempt', ['EmailAttempt'])
    expect(await steps()).toEqual([`${rule}${mount} (if you have not yet)`])
    host.write(FILE, host.read(FILE).replace('return false', "return _request.headers.has('x-admin')"))
    await host.run('attempt', ['SmsAttempt'])
    expect(await steps()).toEqual([`${mount} (if you have not yet)`])
  })

  it('knows that the function of Next.js was not edited', async () => {
    const host = await installed(['next'])
    await host.run('dashboard')
    await host.run('attempt', ['EmailAttempt'])
    expect((await host.run('dashboard')).nextSteps.at(-1)).toContain('who may use the dashboard: authorize(). The page')
    host.write(FILE, host.read(FILE).replace("=== 'development' && isLocal", "=== 'development' || isAdmin(request)"))
    await host.run('attempt', ['SmsAttempt'])
    expect((await host.run('dashboard')).nextSteps.at(-1)).toBe('The page is /async')
  })

  it('is named by attempt and reports as the step that shows the new class', async () => {
    const host = await installed(['express'])
    const step = (name: string) => `Add ${name} to the dashboard: npx async-gen dashboard`
    expect((await host.run('attempt', ['SmsAttempt'])).nextSteps).not.toContain(step('SmsAttempt'))
    await host.run('dashboard')
    expect((await host.run('attempt', ['EmailAttempt'])).nextSteps).toContain(step('EmailAttempt'))
    expect((await host.run('reports', ['MonthlySales'])).nextSteps).toContain(step('EmailAttempt, MonthlySales'))
    expect((await host.run('dashboard')).nextSteps.join()).not.toContain('to the dashboard')
  })

  it.each(['express', 'fastify', '@nestjs/core'])('has the path of the mount for %s in one place', async (name) => {
    const host = await installed([name])
    await host.run('dashboard')
    expect(host.read(FILE).match(/'\/async/g)).toHaveLength(1)
    expect(host.read(FILE)).toContain('basePath: PATH,')
  })

  it('writes the page of Next.js where the app router is', async () => {
    for (const [files, folder, specifier] of [
      [{ 'app/page.tsx': '' }, 'app', '../../../src/async/dashboard.js'],
      [{ 'src/app/page.tsx': '' }, 'src/app', '../../../async/dashboard.js'],
    ] as const) {
      const host = await installed(['next'], files)
      await host.run('dashboard')
      const route = `${folder}/async/[[...path]]/route.ts`
      expect(emitted(host)).toEqual([route, FILE].sort())
      expect(host.read(route)).toContain(`from '${specifier}'`)
    }
  })

  it('shows its plan with --dry-run, and is removed by destroy, except what was edited', async () => {
    const host = await installed(['next'])
    const before = host.hash()
    const { plan } = await host.run('dashboard', [], { dryRun: true })
    expect(plan.changes.map(({ kind }) => kind)).toContain('create')
    expect(host.hash()).toBe(before)
    await host.run('dashboard')
    const [route] = emitted(host)
    host.write(FILE, `${host.read(FILE)}// mine\n`)
    const outcome = await destroy({ cwd: host.root, generator: 'dashboard' })
    expect(lines(outcome)).toEqual(expect.arrayContaining([`delete ${route}`, `keep ${FILE}`]))
    expect(emitted(host)).toEqual([FILE])
  })
})

describe('doctor notes', () => {
  const notes = async ({ root }: SampleHost) =>
    (await doctor({ cwd: root, databaseUrl: '' })).findings.flatMap(({ code, where }) =>
      code.startsWith('DASHBOARD') ? [`${code} ${where}`] : [],
    )

  it('that nobody may use the dashboard in production, until authorize() is edited', async () => {
    const host = await installed(['express'])
    expect(await notes(host)).toEqual([])
    await host.run('dashboard')
    expect(await notes(host)).toEqual([`DASHBOARD_CLOSED ${FILE}`])
    host.write(FILE, host.read(FILE).replace('return false', 'return true'))
    expect(await notes(host)).toEqual([])
  })

  it('what the dashboard does not show', async () => {
    const host = await installed(['express'])
    await host.run('dashboard')
    host.write(FILE, `${host.read(FILE)}// mine\n`)
    await host.run('attempt', ['EmailAttempt'])
    expect(await notes(host)).toEqual([`DASHBOARD_INCOMPLETE ${FILE}`])
    await host.run('dashboard')
    expect(await notes(host)).toEqual([])
  })
})
