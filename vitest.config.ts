import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const runtime = (file: string) => fileURLToPath(new URL(`runtime/src/${file}`, import.meta.url))

/** Hosts with other package managers, versions of Prisma, frameworks, and earlier versions of async-gen; and the benchmarks, for seconds. */
const COMPATIBILITY = 'test/{compatibility,bench}/**/*.test.ts'

/** Their files share a process, and what it has loaded. Those that are left out mock modules. */
const SHARING = 'test/{generators,docs}/!(stage|upgrade).test.ts'

/** Their files share a process too, but only the packages in it: their modules are bound to a database. Those that are left out set globals, or count connections. */
const SHARING_PACKAGES = 'test/{runtime,flow,dashboard,chaos}/!(telemetry|events).test.ts'

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  test: {
    name,
    setupFiles: 'test/support/setup.ts',
    ...test,
    exclude: ['**/node_modules/**', 'test/.*/**', 'test/hosts/**', ...(test?.exclude ?? [])],
    pool: 'forks',
    // See test/support/short-lived.cjs.
    execArgv: ['--liftoff-only'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    alias: [
      { find: /^@async-gen\/runtime$/, replacement: runtime('index.ts') },
      { find: /^@async-gen\/runtime\/dashboard$/, replacement: runtime('dashboard/index.ts') },
      { find: /^@async-gen\/runtime\/events$/, replacement: runtime('events/index.ts') },
      { find: /^@async-gen\/runtime\/http$/, replacement: runtime('http/index.ts') },
      { find: /^@async-gen\/runtime\/testing$/, replacement: runtime('testing/index.ts') },
    ],
  },
})

/** They wait for timers of the worker, up to ninety seconds. At the end of a run, nothing would run beside them. */
const WAITING = ['test/chaos/graphile.test.ts', 'test/chaos/idle.test.ts']

class WaitingFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const waits = ({ moduleId }: TestSpecification) => WAITING.some((file) => moduleId.endsWith(file))
    return [...sorted.filter(waits), ...sorted.filter((file) => !waits(file))]
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: WaitingFirst },
    globalSetup: 'test/support/global-setup.ts',
    // Most of the time, many tests wait for processes.
    maxWorkers: 4,
    projects: [
      project('sharing', { include: [SHARING], isolate: false }),
      project('sharing packages', {
        include: [SHARING_PACKAGES],
        isolate: false,
        setupFiles: 'test/support/fresh-modules.ts',
      }),
      project('isolated', { include: ['test/**/*.test.ts'], exclude: [SHARING, SHARING_PACKAGES, COMPATIBILITY] }),
      project('compatibility', { include: [COMPATIBILITY] }),
    ],
  },
})
