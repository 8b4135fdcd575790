import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { assembleHost, installedAsyncGen, installHost } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { prisma7, prisma8 } from '../support/prisma.js'
import { addTeamFiles, applyEdit, closeStages, edits, playScene } from '../support/team.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

/** Prisma 8 reads the schema that Prisma 7 still migrates. */
const CONFIG_OF_8 = `import { definePrismaConfig } from '@prisma/cli-engine'
import { defineConfig as ormConfig, prisma7Schema } from '@prisma/orm-postgres/config'

export default definePrismaConfig({
  orm: ormConfig({
    contract: prisma7Schema('prisma/schema.prisma'),
    output: 'src/contract',
    db: { connection: process.env['DATABASE_URL']! },
  }),
})
`

describe('a shop on Prisma 7 (@prisma/prisma7) beside Prisma 8', () => {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-prisma-7-beside-8-'))
  let env: { DATABASE_URL: string }
  let worker: WorkerProcess | undefined

  beforeAll(async () => {
    env = { DATABASE_URL: await createDatabase(inject('postgres')) }
    assembleHost('single', dir)
    const config = readFileSync(join(dir, 'prisma.config.ts'), 'utf8')
    writeFileSync(join(dir, 'prisma.config.ts'), config.replace('prisma/config', '@prisma/prisma7/config'))
    renameSync(join(dir, 'prisma.config.ts'), join(dir, 'prisma7.config.ts'))
    writeFileSync(join(dir, 'prisma.config.ts'), CONFIG_OF_8)
    const file = join(dir, 'package.json')
    const { devDependencies, dependencies, ...rest } = JSON.parse(readFileSync(file, 'utf8'))
    Object.assign(devDependencies, {
      prisma: '8.0.0-rc.19',
      '@prisma/prisma7': '7.10.0',
      '@prisma/cli-engine': '0.6.2',
    })
    Object.assign(dependencies, { '@prisma/orm-postgres': '8.0.0-rc.13' })
    writeFileSync(file, JSON.stringify({ ...rest, dependencies, devDependencies }, null, 2))
    await installHost(dir)
  }, 600_000)

  afterAll(async () => {
    await closeStages()
    await worker?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  it('the generators write for the Prisma 7 of prisma7.config.ts, and name its command', async () => {
    const { stdout } = await installedAsyncGen(dir, ['install', '--yes'])
    expect(stdout).toContain('npx prisma7 migrate dev')
    await installedAsyncGen(dir, ['attempt', '--yes'])
    await installedAsyncGen(dir, ['reports', 'MonthlySales', '--yes'])
    expect(readFileSync(join(dir, 'prisma/schema.prisma'), 'utf8')).toContain('model Attempt {')
    addTeamFiles(dir)
    for (const edit of edits) applyEdit(dir, edit)
    await prisma7(dir, ['generate'], { env })
    await prisma7(dir, ['migrate', 'deploy'], { env })
  })

  it('A1: a worker runs a call that was recorded in a transaction of the client of Prisma 7', async () => {
    const { attempt } = await playScene(dir, env, 'place-order', 1)
    worker = startWorker(dir, env)
    const status = () => query(env.DATABASE_URL, 'SELECT status FROM attempts WHERE id = $1', [attempt])
    await eventually('the end of the attempt', async () => (await status())[0].status === 'succeeded')
    expect(await worker.stop(), worker.log()).toBe(0)
  })

  it('Prisma 8 reads the schema with our models as its contract, and signs the database', async () => {
    await prisma8(dir, ['contract', 'emit'], { env })
    await prisma8(dir, ['db', 'sign'], { env })
  })

  it('doctor says which Prisma owns the schema', async () => {
    const { stdout } = await installedAsyncGen(dir, ['doctor', '--json'], { env, exitCodes: [0, 1, 5] })
    const { findings } = JSON.parse(stdout)
    expect(findings.filter(({ code }: { code: string }) => code !== 'PRISMA_NODE')).toMatchObject([
      { code: 'PRISMA_7_BESIDE_8', severity: 'note', message: expect.stringContaining('8.0.0-rc.19') },
    ])
  })
})
