import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { stepsOf } from '../docs/guide.js'
import {
  installTool,
  PACKAGE_MANAGERS,
  runTyped,
  type TestedPackageManager,
  tarballOf,
} from '../support/package-managers.js'
import { createDatabase, query } from '../support/postgres.js'
import { prismaEnv } from '../support/prisma.js'

const PRISMA = '7.10.0'

/** The table of the guide, which `prisma migrate dev` makes for a reader on a terminal. */
const ORDERS =
  'CREATE TABLE "Order" (id SERIAL PRIMARY KEY, number INTEGER NOT NULL, parcel TEXT, "updatedAt" TIMESTAMP(3) NOT NULL);\n' +
  'CREATE UNIQUE INDEX "Order_number_key" ON "Order" (number);\n'

/**
 * The first minute of docs/start.md in an application of a package manager: the packed packages, the generators, the commands that they
 * print as next steps, and a worker that runs one call. The tests are its steps, in this order.
 */
export function describeFirstMinute(name: keyof typeof PACKAGE_MANAGERS) {
  const manager: TestedPackageManager = PACKAGE_MANAGERS[name]
  const isPlugAndPlay = name === 'yarn-pnp'

  describe(`the first minute with ${manager.title}`, () => {
    const dir = mkdtempSync(join(tmpdir(), `async-gen-${name}-`))
    let programs = ''
    let env: Record<string, string>
    let steps: string[] = []

    beforeAll(async () => {
      const url = await createDatabase(inject('postgres'))
      env = { ...prismaEnv, DATABASE_URL: url }
      programs = await installTool(manager)
      writeApplication(dir, manager, isPlugAndPlay)
    }, 600_000)

    afterAll(() => rmSync(dir, { recursive: true, force: true }))

    it('installs the packed packages', async () => {
      await type(manager.add('@async-gen/runtime', tarballOf('@async-gen/runtime')))
      await type(manager.addDev('async-gen', tarballOf('async-gen')))
    }, 600_000)

    it('generates, and prints commands of this package manager as next steps', async () => {
      for (const command of ['install', 'attempt', 'reports MonthlySales']) {
        const { stdout } = await type(`${manager.exec} async-gen ${command}`)
        steps = [...steps, ...stepsIn(stdout)]
      }
      const commands = [`${manager.title.split(' ')[0]!.toLowerCase()} install`, `${manager.exec} prisma `]
      for (const command of commands) expect(steps).toContainEqual(expect.stringContaining(command))
      if (manager.exec !== 'npx') expect(steps.join('\n')).not.toMatch(/\b(npx|npm (?!registry))/)
    })

    it('gets a migrated database and a client from those commands', async () => {
      const printed = (test: RegExp) => steps.find((step) => test.test(step))!
      await type(printed(/ install$/))
      // `migrate dev` asks questions, so it needs a terminal.
      await type(/in production: (.*)\)$/.exec(printed(/ prisma migrate dev /))![1]!)
      await type(printed(/ prisma generate$/))
    }, 600_000)

    it('has types that fit', async () => {
      writeGuide(dir, /^src\/(order-client|place-order|async\/targets)\.ts$/)
      await type(`${manager.exec} tsc --noEmit`)
    })

    it('records a call, and its worker runs it', async () => {
      const { stdout } = await type(`${manager.exec} tsx src/place-order.ts 1`)
      expect(stdout).toContain('Attempt 1 is pending')
      await type(`${manager.script} async:worker`, { ASYNC_WORKER_ONCE: 'true' })
      const [attempt] = await query(env.DATABASE_URL!, 'SELECT status, result, errors FROM attempts')
      expect(attempt).toMatchObject({ status: 'succeeded', errors: [] })
      expect(await query(env.DATABASE_URL!, 'SELECT parcel FROM "Order"')).toEqual([{ parcel: 'parcel-1' }])
    })

    it('starts and stops a worker in the background', async () => {
      const worker = `${manager.exec} async-gen-worker`
      expect((await type(`${worker} start`)).stdout).toMatch(/Worker 1/)
      expect((await type(`${worker} stop`)).stdout).toMatch(/Worker 1/)
    })

    it('is healthy, says doctor', async () => {
      const { stdout } = await type(`${manager.exec} async-gen doctor --check`)
      expect(stdout).toContain('All is well.')
    })

    const type = (command: string, more = {}) => runTyped(dir, programs, command, { ...env, ...more })
  })
}

function writeApplication(dir: string, { files, tool }: TestedPackageManager, isPlugAndPlay: boolean) {
  const packageJson = {
    name: 'shop',
    type: 'module',
    ...(tool && { packageManager: packageManagerField(tool) }),
    dependencies: { '@prisma/adapter-pg': PRISMA, '@prisma/client': PRISMA, dotenv: '^17.0.0' },
    devDependencies: {
      '@types/node': '^20.19.43',
      prisma: PRISMA,
      tsx: '^4.23.15',
      // The native compiler of TypeScript 7 does not know Plug'n'Play. Yarn patches earlier ones.
      typescript: isPlugAndPlay ? '~5.9.0' : '^7.0.2',
    },
  }
  write(dir, 'package.json', `${JSON.stringify(packageJson, null, 2)}\n`)
  for (const [path, text] of Object.entries(files)) write(dir, path, text)
  writeGuide(dir, /^(tsconfig\.json|prisma\.config\.ts|prisma\/schema\.prisma|src\/prisma\.ts)$/)
  write(dir, 'prisma/migrations/20260101000000_orders/migration.sql', ORDERS)
  write(dir, 'prisma/migrations/migration_lock.toml', 'provider = "postgresql"\n')
}

/** `yarn@4.18.1` of `@yarnpkg/cli-dist@4.18.1`. */
function packageManagerField(tool: string): string {
  return tool.replace('@yarnpkg/cli-dist', 'yarn')
}

/** The first of each of the files of the guide. */
function writeGuide(dir: string, which: RegExp) {
  const files = stepsOf('docs/start.md').flatMap((step) =>
    step.kind === 'file' && which.test(step.path) ? [step] : [],
  )
  for (const { path, text } of files) write(dir, path, text)
}

function write(dir: string, path: string, text: string) {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), text)
}

/** The lines under `Next:`. */
function stepsIn(stdout: string): string[] {
  return [...stripVTControlCharacters(stdout).matchAll(/^ {2}\d+\. (.*)$/gm)].map(([, step]) => step!)
}
