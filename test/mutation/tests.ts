import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProjectInlineConfiguration } from 'vitest/config'
import { createVitest, type TestSpecification, type Vite, type Vitest } from 'vitest/node'
import config from '../../vitest.config.js'
import { REPOSITORY } from '../support/host.js'
import { type PostgresServer, query } from '../support/postgres.js'
import type { MutationEvent, Plan } from './runner.js'

/** The tests of this repository, in one vitest, which starts one PostgreSQL. */
export class Tests {
  readonly #vitest: Vitest
  readonly #folder = mkdtempSync(join(tmpdir(), 'async-gen-mutation-'))
  readonly #file = join(this.#folder, 'events')

  private constructor(vitest: Vitest) {
    this.#vitest = vitest
  }

  /** @param texts the text that the tests read in place of a file's, by its path */
  static async start(texts: ReadonlyMap<string, string>): Promise<Tests> {
    const plugin: Vite.Plugin = { name: 'mutation', enforce: 'pre', transform: (_code, id) => texts.get(id) }
    // The projects of the repository share processes. Here, each file has one of its own.
    const projects = config.test!.projects as TestProjectInlineConfiguration[]
    const { setupFiles, pool, testTimeout, alias } = projects.find(({ test }) => test!.name === 'isolated')!.test!
    const vitest = await createVitest(
      'test',
      { root: REPOSITORY, config: false, watch: false, related: [...texts.keys()] },
      {
        plugins: [plugin],
        test: {
          include: ['test/**/*.test.ts'],
          exclude: ['**/node_modules/**', 'test/.*/**', 'test/hosts/**'],
          globalSetup: config.test!.globalSetup!,
          setupFiles: setupFiles!,
          pool: pool!,
          testTimeout: testTimeout!,
          hookTimeout: 30_000,
          alias: alias!,
          maxWorkers: 1,
          silent: true,
          reporters: [{}],
          runner: 'test/mutation/runner.ts',
          execArgv: ['--no-warnings'],
        },
      },
    )
    return new Tests(vitest)
  }

  async stop(): Promise<void> {
    await this.#vitest.close()
    rmSync(this.#folder, { recursive: true })
  }

  /** The test files that import one of the changed files, in the order of the filters. */
  async files(filters: string[]): Promise<TestSpecification[]> {
    const files = await this.#vitest.getRelevantTestSpecifications(filters)
    const rank = ({ moduleId }: TestSpecification) => filters.findIndex((filter) => moduleId.includes(filter))
    return files.toSorted((a, b) => rank(a) - rank(b))
  }

  /** What has happened in the test file that runs, so far. */
  get events(): MutationEvent[] {
    const lines = readFileSync(this.#file, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => JSON.parse(line))
  }

  /** Runs a test file as far as it goes: a mutant may end or block its process. */
  async run(specification: TestSpecification, plan: Omit<Plan, 'events'>): Promise<MutationEvent[]> {
    process.env.MUTATION_PLAN = join(this.#folder, 'plan')
    writeFileSync(this.#file, '')
    writeFileSync(process.env.MUTATION_PLAN, JSON.stringify({ ...plan, events: this.#file } satisfies Plan))
    let count = 0
    let deadline = Date.now() + 300_000
    const watch = setInterval(() => {
      const { events } = this
      if (events.length > count) {
        count = events.length
        const last = events.at(-1)
        deadline = Date.now() + (last?.kind === 'begun' ? 2 * last.limit + 30_000 : 240_000)
      }
      if (Date.now() < deadline) return
      deadline = Number.POSITIVE_INFINITY
      // The second call ends the process that the first one only asks to end.
      for (let i = 0; i < 2; i++) void this.#vitest.cancelCurrentRun('test-failure').catch(() => undefined)
    }, 1000)
    await this.#vitest.runTestSpecifications([specification])
    clearInterval(watch)
    await this.#dropDatabases()
    return this.events
  }

  /** Drops the databases of the test files that have run. */
  async #dropDatabases(): Promise<void> {
    const { url, prefix }: PostgresServer = this.#vitest.getRootProject().getProvidedContext().postgres
    const databases = await query(
      url,
      `SELECT datname FROM pg_database WHERE starts_with(datname, $1) AND datname <> $1 || 'template'`,
      [`${prefix}_`],
    )
    for (const { datname } of databases) await query(url, `DROP DATABASE ${pg.escapeIdentifier(datname)} WITH (FORCE)`)
  }
}
