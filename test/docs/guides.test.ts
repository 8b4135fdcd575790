import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { freePort } from '../../runtime/src/testing/free-port.js'
import { PACKAGES } from '../support/host.js'
import { createDatabase } from '../support/postgres.js'
import { ONE_PROCESS, SPEC_TIMEOUTS } from '../support/run.js'
import { Follower } from './follower.js'

// The application reads its URL from .env, as in the guide.
const url = process.env.DATABASE_URL!
delete process.env.DATABASE_URL

/** The guides' URLs; the database of the application is made by `prisma migrate dev`. */
const SHOP = 'postgresql://postgres:secret@localhost:5432/shop'

// A terminal comes from `script` of util-linux.
describe.skipIf(!hasCommands('script', 'curl'))(
  'a reader who follows the guides to the letter, outside of this repository',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'async-gen-guides-'))
    const reader = new Follower(dir)
    let made = false

    afterAll(async () => {
      await reader.stopAll()
      rmSync(dir, { recursive: true, force: true })
    })

    it('sees what docs/start.md shows, from an empty folder to a report', async () => {
      await reader.follow('docs/start.md', {
        // PostgreSQL is that of this run, and `npm run test:prepare` has packed the packages.
        commands: { 'docker run': () => {}, 'npm ci && npm run pack': () => {} },
        texts: { [SHOP]: url, '/path/to/async-gen/packages': PACKAGES },
      })
      await reader.run('npx async-gen doctor', 'All is well.')
      await reader.stopAll()
      made = true
    }, 600_000)

    it('has the tests of docs/testing.md pass in that application', async ({ skip }) => {
      skip(!made)
      const testUrl = await createDatabase(inject('postgres'))
      await reader.follow('docs/testing.md', {
        // The matrix of the generators runs Jest with these packages.
        commands: { createdb: () => {}, 'npm install -D @swc/jest @swc/core': () => {} },
        texts: { [`${SHOP}_test`]: testUrl, 'npx vitest run': `npx vitest run ${SPEC_TIMEOUTS.join(' ')}` },
      })
      // Above it has run as on that page, with a process for each file.
      const vitest = `npx vitest run ${ONE_PROCESS.join(' ')}`
      expect(await reader.run(`${vitest} test/worker.test.ts`)).toMatch(/Tests +1 passed \(1\)/)
      // What it leaves does not disturb the next run.
      expect(await reader.run(`${vitest} --exclude test/worker.test.ts`)).toMatch(/Test Files +\d+ passed \(\d+\)/)
    }, 600_000)

    it('gets the answers of docs/express.md from that application', async ({ skip }) => {
      skip(!made)
      reader.env.DATABASE_URL = await createDatabase(inject('postgres'))
      reader.env.PORT = String(await freePort())
      await reader.run('npx prisma migrate deploy')
      await reader.follow('docs/express.md', {
        commands: {},
        texts: { 'localhost:3000': `localhost:${reader.env.PORT}` },
      })
    }, 600_000)

    it('has nothing but code that compiles under strict', async ({ skip }) => {
      skip(!made)
      const everything = { extends: './tsconfig.json', include: ['src', 'test', 'prisma.config.ts'] }
      reader.write('tsconfig.all.json', JSON.stringify(everything))
      await reader.run('npx tsc -p tsconfig.all.json')
    })
  },
)

function hasCommands(...names: string[]) {
  return names.every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0)
}
