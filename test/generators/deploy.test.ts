import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { validate } from 'dockerfile-utils'
import { Deployment } from 'kubernetes-models/apps/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { hashOf } from '../../generators/changes/manifest.js'
import { destroy } from '../../generators/commands/destroy.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import { generatedHost, type SampleHost } from './sample-host.js'

const PACKAGE_JSON = {
  name: '@acme/Shop_API',
  type: 'module',
  dependencies: { prisma: '^7.0.0' },
  scripts: { build: 'tsc' },
}

async function deployed(kind: string, files: Record<string, string> = {}) {
  const host = await generatedHost([['install']], { 'package.json': JSON.stringify(PACKAGE_JSON), ...files })
  const outcome = await host.run('deploy', [kind])
  return { host, outcome }
}

describe('P18, P19, P20: deploy', () => {
  it('systemd: a unit that restarts within 5 seconds, above a limit of memory too, and lets the worker stop in peace', async () => {
    const { host, outcome } = await deployed('systemd')
    const unit = host.read('deploy/async-gen-worker@.service')
    expect(unit).toMatch(/^Description=shop-api: async worker %i$/m)
    expect(Number(/^RestartSec=(\d+)$/m.exec(unit)![1])).toBeLessThanOrEqual(5)
    expect(unit).toMatch(/^Restart=always$/m)
    expect(unit).toMatch(/^MemoryMax=512M$/m)
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])).toBeGreaterThan(stopSeconds())
    for (const command of ['enable --now', 'stop', 'restart']) expect(unit).toContain(`systemctl ${command} `)
    expect(outcome.nextSteps.at(-1)).toContain('deploy/async-gen-worker@.service')
    verifyUnit(host, unit)
  })

  it('docker: a Dockerfile and a compose file that a linter finds nothing in', async () => {
    const { host } = await deployed('docker')
    const dockerfile = host.read('Dockerfile.worker')
    expect(validate(dockerfile)).toEqual([])
    expect(dockerfile).toMatch(/^CMD \["node_modules\/\.bin\/async-gen-worker", "run"\]$/m)
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile).toMatch(/^RUN npm run build$/m)
    const ignored = host.read('Dockerfile.worker.dockerignore').split('\n')
    expect(ignored).toEqual(expect.arrayContaining(['**/node_modules', '.env']))
    const { worker } = parse(host.read('compose.worker.yaml')).services
    expect(worker).toMatchObject({ restart: 'always', mem_limit: '512m', build: { dockerfile: 'Dockerfile.worker' } })
    expect(Number.parseInt(worker.stop_grace_period, 10)).toBeGreaterThan(stopSeconds())
  })

  it.each([
    ['pnpm-lock.yaml', 'pnpm install --frozen-lockfile'],
    ['yarn.lock', 'yarn install --immutable'],
    ['bun.lock', 'bun install --frozen-lockfile'],
    ['package-lock.json', 'npm ci'],
  ])('docker: installs as %s says', async (lockFile, install) => {
    const { host } = await deployed('docker', { [lockFile]: '{}' })
    const dockerfile = host.read('Dockerfile.worker')
    expect(dockerfile).toContain(install)
    expect(validate(dockerfile)).toEqual([])
  })

  it('docker: builds nothing where the host has no script for it', async () => {
    const { host } = await deployed('docker', { 'package.json': JSON.stringify({ ...PACKAGE_JSON, scripts: {} }) })
    expect(host.read('Dockerfile.worker')).not.toContain('run build')
  })

  it('kubernetes: a Deployment that fits the schema, with probes, a limit and a rolling restart', async () => {
    const { host } = await deployed('kubernetes')
    const [deployment, budget] = parseAllDocuments(host.read('deploy/kubernetes/async-gen-worker.yaml')).map((each) =>
      each.toJS(),
    )
    new Deployment(deployment).validate()
    new PodDisruptionBudget(budget).validate()
    expect(() => new Deployment({ ...deployment, spec: { ...deployment.spec, replicas: 'two' } }).validate()).toThrow()

    const { strategy, template } = deployment.spec
    expect(strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 })
    expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThan(stopSeconds())
    const [container] = template.spec.containers
    expect(container.livenessProbe.httpGet.path).toBe('/livez')
    expect(container.readinessProbe.httpGet.path).toBe('/readyz')
    expect(container.env).toContainEqual({ name: 'ASYNC_WORKER_HEALTH', value: '0.0.0.0:9394' })
    expect(container.resources.limits.memory).toBe('512Mi')
  })

  it('pm2: a configuration that waits until a worker is at work, and until it has stopped', async () => {
    const { host } = await deployed('pm2')
    const [app] = createRequire(import.meta.url)(join(host.root, 'ecosystem.worker.config.cjs')).apps
    expect(app).toMatchObject({ name: 'shop-api-worker', args: 'run', wait_ready: true, max_memory_restart: '512M' })
    expect(app.kill_timeout / 1000).toBeGreaterThan(stopSeconds())
    expect(app.restart_delay).toBeLessThanOrEqual(5000)
    const { bin } = JSON.parse(readFileSync(new URL('../../runtime/package.json', import.meta.url), 'utf8'))
    expect(app.script).toBe(join('node_modules/@async-gen/runtime', bin['async-gen-worker']))
  })

  it('procfile: a line, in a file of its own or, where there is one, for the user to add', async () => {
    const { host } = await deployed('procfile')
    expect(host.read('Procfile')).toBe('worker: npx async-gen-worker run\n')

    const taken = await deployed('procfile', { Procfile: 'web: npm start\n' })
    expect(taken.host.read('Procfile')).toBe('web: npm start\n')
    expect(taken.outcome.plan.notes).toEqual([expect.stringContaining('worker: npx async-gen-worker run')])
  })

  it('procfile: a Procfile that 0.1.0 wrote gets the name that the command has now', async () => {
    const { host } = await deployed('procfile')
    const manifest = JSON.parse(host.read('.async-gen/manifest.json'))
    const of010 = 'worker: npx async-worker run\n'
    manifest.files.Procfile.hash = hashOf(of010)
    host.write('.async-gen/manifest.json', JSON.stringify(manifest))
    host.write('.async-gen/base/Procfile.base', of010)
    host.write('Procfile', of010)
    await upgrade({ cwd: host.root })
    expect(host.read('Procfile')).toBe('worker: npx async-gen-worker run\n')
  })

  it.each(['systemd', 'docker', 'kubernetes', 'pm2'])('%s: names the commands of the package manager', async (kind) => {
    const { host } = await deployed(kind, { 'pnpm-lock.yaml': '' })
    const written = host.files().filter((file) => /worker/.test(file) && !/^(src|\.async-gen)\//.test(file))
    const texts = written.map(host.read).join('\n')
    expect(texts).toContain('pnpm exec prisma migrate deploy')
    expect(texts).not.toContain('npx')
  })

  it('says which command starts the worker where Plug’n’Play has no node_modules', async () => {
    const plugged = await deployed('systemd', { 'yarn.lock': '', '.pnp.cjs': '' })
    expect(plugged.outcome.plan.notes).toEqual([expect.stringMatching(/by: yarn async-gen-worker run$/)])
    const { outcome } = await deployed('systemd', { 'yarn.lock': '' })
    expect(outcome.plan.notes).toEqual([])
  })

  it('is taken out again by destroy', async () => {
    const { host } = await deployed('systemd')
    await destroy({ cwd: host.root, generator: 'deploy', name: 'systemd' })
    expect(host.has('deploy/async-gen-worker@.service')).toBe(false)
    expect(host.has('src/async/worker.ts')).toBe(true)
  })

  it('changes nothing when it runs again, and refuses what it does not know', async () => {
    const { host } = await deployed('kubernetes')
    const before = host.hash()
    expect((await host.run('deploy', ['kubernetes'])).status).toBe('nothing to do')
    expect(host.hash()).toBe(before)
    await expect(host.run('deploy', ['nomad'])).rejects.toMatchObject({
      code: 'KIND_UNKNOWN',
      remedy: expect.stringContaining('systemd, docker, kubernetes, pm2, procfile'),
    })
  })
})

/** For how long a worker may take to stop: `stopTimeout`, and what it adds to that. */
function stopSeconds(): number {
  const settings = readFileSync(new URL('../../runtime/src/worker/settings.ts', import.meta.url), 'utf8')
  const runner = readFileSync(new URL('../../runtime/src/worker/graphile-runner.ts', import.meta.url), 'utf8')
  const worker = readFileSync(new URL('../../runtime/src/worker/worker.ts', import.meta.url), 'utf8')
  const [closing, exitGrace] = ['CLOSE_TIMEOUT', 'EXIT_GRACE'].map(
    (name) => Number(new RegExp(`${name} = (\\d+)`).exec(worker)![1]) / 1000,
  )
  const stopTimeout = Number(/'ASYNC_WORKER_STOP_TIMEOUT'.*\?\? ([\d_]+)/.exec(settings)![1]!.replace('_', '')) / 1000
  const afterAbort = Number(/normal: (\d+)/.exec(runner)![1]) / 1000
  return stopTimeout + afterAbort + 2 * closing! + exitGrace!
}

/** systemd's own check, where systemd is. The program and the user have to be there, so they are swapped for some that are. */
function verifyUnit(host: SampleHost, unit: string) {
  const known = unit
    .replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`)
    .replace(/^User=.*$/m, 'User=daemon')
    .replace(/^WorkingDirectory=.*$/m, 'WorkingDirectory=/')
  host.write('verify/async-gen-worker@.service', known)
  if (!existsSync('/usr/bin/systemd-analyze')) return
  const { status, stderr } = spawnSync(
    'systemd-analyze',
    ['verify', join(host.root, 'verify/async-gen-worker@1.service')],
    {
      encoding: 'utf8',
    },
  )
  expect({ status, stderr: stderr.split('\n').filter((line) => line.includes('async-gen-worker')) }).toEqual({
    status: 0,
    stderr: [],
  })
}
