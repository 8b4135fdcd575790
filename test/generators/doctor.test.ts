import { mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { type DoctorRequest, doctor } from '../../generators/doctor.js'
import { version } from '../../generators/own-package.js'
import { REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { type SampleHost, sampleHost } from './sample-host.js'

const RUNTIME = { 'node_modules/@async-gen/runtime/package.json': JSON.stringify({ version }) }
const WORKER = { 'node_modules/graphile-worker/package.json': '{ "version": "0.17.3" }' }

describe('doctor finds nothing', () => {
  it('in a host that is as it was generated', async () => {
    expect(await diagnosis(await installed())).toEqual({ findings: [], healthy: true })
  })
})

describe('doctor finds, and says what to do:', () => {
  it.each([
    ['another major of Prisma', 'PRISMA_MAJOR', { 'node_modules/prisma/package.json': '{ "version": "6.1.0" }' }],
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

  it('a client that has gone', async () => {
    const host = await installed()
    host.remove('src/db.ts')
    expect(await found(host)).toEqual([{ code: 'CLIENT_GONE', where: 'src/async/database.ts' }])
  })

  it('a Graphile Worker that this Node cannot run, or that is too old', async () => {
    const newer = await installed({ 'node_modules/graphile-worker/package.json': '{ "version": "0.18.1" }' })
    const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
    const runs = major > 22 || (major === 22 && minor >= 18)
    expect(await found(newer)).toEqual(runs ? [] : [{ code: 'WORKER_NODE', where: 'package.json' }])
    const older = await installed({ 'node_modules/graphile-worker/package.json': '{ "version": "0.16.6" }' })
    expect(await found(older)).toEqual([{ code: 'WORKER_VERSION', where: 'package.json' }])
  })

  it('packages that are not installed, and a runtime of another version', async () => {
    const none = await installed()
    none.remove('node_modules/@async-gen')
    none.remove('node_modules/graphile-worker')
    expect((await found(none)).map(({ code }) => code)).toEqual(['PACKAGE_NOT_INSTALLED', 'PACKAGE_NOT_INSTALLED'])
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
    expect(new Set(await codes(host, url))).toEqual(new Set(['MIGRATION_PENDING']))
  })

  it('a later migration that has not run, and names the command that runs it', async () => {
    const url = await createDatabase(inject('postgres'))
    const host = await installed({}, ['pg'])
    for (const path of host.files().filter((file) => /_create_\w+\/migration\.sql$/.test(file)))
      await query(url, host.read(path))
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([
      {
        code: 'MIGRATION_PENDING',
        where: expect.stringContaining('_harden_toasts/'),
        remedy: expect.stringContaining('prisma migrate deploy'),
      },
      { code: 'MIGRATION_PENDING', where: expect.stringContaining('_harden_attempts/') },
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
    expect(new Set(await codes(host, url))).toEqual(new Set(['MIGRATION_PENDING']))
  })

  it('a trigger that is missing, and one that is disabled', async () => {
    const { host, url } = await migrated()
    await query(url, 'DROP TRIGGER attempts_enqueue_inserted ON attempts')
    await query(url, 'ALTER TABLE attempts DISABLE TRIGGER attempts_enqueue_updated')
    const { findings } = await diagnosis(host, { databaseUrl: url })
    expect(findings).toMatchObject([{ code: 'TRIGGER_MISSING' }])
    expect(findings[0]!.message).toContain('attempts_enqueue_inserted, attempts_enqueue_updated')
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

  it('that it cannot be reached', async () => {
    const host = await installed({}, ['pg'])
    expect(await codes(host, 'postgres://nobody@127.0.0.1:1/nothing')).toEqual(['DATABASE_UNREACHABLE'])
  })

  async function migrated() {
    const url = await createDatabase(inject('postgres'))
    const host = await installed({}, ['pg'])
    for (const path of host.files().filter((file) => file.endsWith('migration.sql'))) await query(url, host.read(path))
    return { host, url }
  }

  async function codes(host: SampleHost, databaseUrl: string) {
    return (await found(host, { databaseUrl })).map(({ code }) => code)
  }
})

async function installed(files: Record<string, string> = {}, packages: string[] = []) {
  const host = sampleHost({ ...RUNTIME, ...WORKER, ...files }, { packages })
  await host.run('install')
  await host.run('attempt')
  return host
}

/** Without a database, unless one is named. */
function diagnosis(host: SampleHost, request: Partial<DoctorRequest> = {}) {
  return doctor({ cwd: host.root, databaseUrl: '', ...request })
}

async function found(host: SampleHost, request: Partial<DoctorRequest> = {}) {
  const { findings } = await diagnosis(host, request)
  return findings.map(({ code, where }) => ({ code, where }))
}
