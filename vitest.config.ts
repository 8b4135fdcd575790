import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const runtime = (file: string) => fileURLToPath(new URL(`runtime/src/${file}`, import.meta.url))

/** Hosts with other package managers, versions of Prisma, frameworks, and earlier versions of async-gen; and the benchmarks, for seconds. */
const COMPATIBILITY = 'test/{compatibility,bench}/**/*.test.ts'

/** Their files share a process, and what it has loaded. Those that are left out mock modules. */
const SHARING = [
  'test/{generators,docs}/!(stage|upgrade).test.ts',
  'test/chaos/{control-inputs,crash,graphile,idle,storm}.test.ts',
]

/** Their files share a process too, but only the packages in it: their modules are bound to a database. Those that are left out set globals, or count connections. */
const SHARING_PACKAGES = [
  'test/{runtime,flow,dashboard}/!(telemetry|events).test.ts',
  'test/chaos/!(control-inputs|crash|graphile|idle|storm).test.ts',
]

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  test: {
    name,
    setupFiles: 'test/support/setup.ts',
    ...test,
    exclude: ['**/node_modules/**', 'test/.*/**', 'test/hosts/**', ...(test?.exclude ?? [])],
    pool: 'forks',
    // See test/support/short-lived.cjs.
    execArgv: ['--require', fileURLToPath(new URL('test/support/short-lived.cjs', import.meta.url))],
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
const FIRST = ['/chaos/graphile.', '/chaos/idle.']

/** They wait for processes. They run in turn with files that need a process of their own, too. */
const EARLY = ['/chaos/attempts-command.', '/runtime/retries.', '/runtime/worker-start.']

/** Files that wait side by side would leave the machine idle: each of them runs beside one that computes. */
class InTurn extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const [first, later] = partition(await super.sort(files), isOneOf(FIRST))
    const [early, others] = partition(later, isOneOf(EARLY))
    const [isolated, sharing] = partition(others, ({ project }) => project.config.isolate)
    const projects = new Set(sharing.map(({ project }) => project))
    const inTurn = [...projects].map((each) => {
      const [waiting, computing] = partition(
        sharing.filter(({ project }) => project === each),
        isOneOf(['/chaos/', '/flow/limits-faults.']),
      )
      return alternate(computing, waiting)
    })
    return [...first, ...alternate(isolated, early), ...inTurn.flat()]
  }
}

const isOneOf =
  (names: string[]) =>
  ({ moduleId }: TestSpecification) =>
    names.some((name) => moduleId.includes(`/test${name}`))

function partition<T>(items: T[], holds: (item: T) => boolean): [T[], T[]] {
  return [items.filter(holds), items.filter((item) => !holds(item))]
}

function alternate<T>(some: T[], others: T[]): T[] {
  const rounds = Math.max(some.length, others.length)
  return Array.from({ length: rounds }, (_, i) => [...some.slice(i, i + 1), ...others.slice(i, i + 1)]).flat()
}

export default defineConfig({
  test: {
    sequence: { sequencer: InTurn },
    globalSetup: 'test/support/global-setup.ts',
    // Most of the time, many tests wait for processes.
    maxWorkers: 5,
    projects: [
      project('sharing', { include: SHARING, isolate: false }),
      project('sharing packages', {
        include: SHARING_PACKAGES,
        isolate: false,
        setupFiles: 'test/support/fresh-modules.ts',
      }),
      project('isolated', {
        include: ['test/**/*.test.ts'],
        exclude: [...SHARING, ...SHARING_PACKAGES, COMPATIBILITY],
      }),
      project('compatibility', { include: [COMPATIBILITY] }),
    ],
  },
})
