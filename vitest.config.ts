import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const runtime = (file: string) => fileURLToPath(new URL(`runtime/src/${file}`, import.meta.url))

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'test/.*/**', 'test/hosts/**'],
    globalSetup: 'test/support/global-setup.ts',
    setupFiles: 'test/support/setup.ts',
    pool: 'forks',
    maxWorkers: 2,
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
