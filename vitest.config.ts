import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

const runtime = (file: string) => fileURLToPath(new URL(`runtime/src/${file}`, import.meta.url))

/** Tests whose files share a process and what it has loaded. */
const SHARING = {
  include: ['test/{generators,docs}/**/*.test.ts'],
  exclude: ['test/generators/{stage,upgrade}.test.ts'],
}

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  test: {
    name,
    ...test,
    exclude: ['**/node_modules/**', 'test/.*/**', 'test/hosts/**', ...(test?.exclude ?? [])],
    setupFiles: 'test/support/setup.ts',
    pool: 'forks',
    testTimeout: 180_000,
    hookTimeout: 180_000,
    alias: [
      { find: /^@async-gen\/runtime$/, replacement: runtime('index.ts') },
      { find: /^@async-gen\/runtime\/testing$/, replacement: runtime('testing/index.ts') },
    ],
  },
})

export default defineConfig({
  test: {
    globalSetup: 'test/support/global-setup.ts',
    // Most of the time, many tests wait for processes.
    maxWorkers: 3,
    projects: [
      project('sharing', { ...SHARING, isolate: false }),
      // They connect to a database of their own when they are imported, or mock modules.
      project('isolated', {
        include: ['test/{chaos,e2e,runtime,support}/**/*.test.ts', ...SHARING.exclude],
      }),
    ],
  },
})
