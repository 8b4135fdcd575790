import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const runtime = (file: string) => fileURLToPath(new URL(`runtime/src/${file}`, import.meta.url))

/** Hosts with other package managers, versions of Prisma, frameworks, a schema folder, and earlier versions of async-gen; and the benchmarks, for seconds. */
const COMPATIBILITY = 'test/{compatibility,bench}/**/*.test.ts'

/** Of the fault tests, those that load nothing of the application: they start it. */
const STARTING = 'control-inputs|crash|graphile|idle|storm'

/** Their files share a process, and what it has loaded. Those that are left out mock modules. */
const SHARING = ['test/{generators,docs}/!(stage|upgrade).test.ts', `test/chaos/@(${STARTING}).test.ts`]

/** Their files share a process too, but only the packages in it: their modules are bound to a database. Those that are left out set globals, or count connections. */
const SHARING_PACKAGES = [
  'test/{runtime,flow,dashboard}/!(telemetry|events).test.ts',
  `test/chaos/!(${STARTING}).test.ts`,
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

/** The first files: those that wait for processes, up to ninety seconds, beside those that compute for as long. */
const FIRST = [
  ...['/chaos/graphile.', '/generators/matrix.', '/docs/guides.', '/chaos/idle.', '/e2e/single.'],
  ...['/chaos/attempts-command.', '/e2e/own-attempts.', '/runtime/worker-start.', '/runtime/retries.'],
  ...['/e2e/evaluation-order.', '/generators/drift.', '/docs/blocks.', '/chaos/steps.', '/generators/command-line.'],
  ...['/generators/doctor.', '/flow/limits-faults.', '/generators/clients.', '/chaos/silence.'],
]

/**
 * Of the others, those that wait, the longest first. At the end of a run, nothing would run beside them; side by side, they would leave the
 * machine idle.
 */
const WAITING = [
  ...['/chaos/crash.', '/chaos/storm.', '/flow/limits.properties.', '/chaos/pause.', '/runtime/presence.'],
  ...['/chaos/scale.', '/chaos/network.', '/runtime/attempt-time-limit.', '/flow/locks.', '/dashboard/actions.'],
  ...['/chaos/', '/runtime/attempt-bulk.', '/flow/schedules.properties.', '/runtime/attempt-transactions.'],
]

class InTurn extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const [first, others] = partitioned(await super.sort(files), FIRST)
    const projects = [...new Set(others.map(({ project }) => project))]
    return [...first, ...projects.flatMap((each) => inTurn(others.filter(({ project }) => project === each)))]
  }
}

/** A file that waits, three that compute, and so on. */
function inTurn(files: TestSpecification[]): TestSpecification[] {
  const [waiting, computing] = partitioned(files, WAITING)
  return files.flatMap((_, i) => [...waiting.slice(i, i + 1), ...computing.slice(3 * i, 3 * i + 3)])
}

/** The files of a list, in its order, and the others. */
function partitioned(files: TestSpecification[], names: string[]): [TestSpecification[], TestSpecification[]] {
  const listed = names.flatMap((name) => files.filter(({ moduleId }) => moduleId.includes(`/test${name}`)))
  return [[...new Set(listed)], files.filter((file) => !listed.includes(file))]
}

export default defineConfig({
  test: {
    sequence: { sequencer: InTurn },
    globalSetup: 'test/support/global-setup.ts',
    // Most of the time, many tests wait for processes.
    maxWorkers: 6,
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
