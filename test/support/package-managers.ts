import { mkdtempSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { PACKAGES } from './host.js'
import { run } from './run.js'

/** A package manager that the first minute is tested in. */
export interface TestedPackageManager {
  /** As the README names it. */
  title: string
  /** The package of npm that it comes in; absent for the machine's own npm. */
  tool?: string
  /** A package with the Node that it runs on; absent for the machine's own. */
  node?: string
  /** What a project of this package manager has, beside package.json. */
  files: Record<string, string>
  /** The commands that add a tarball of npm. */
  add: (name: string, tarball: string) => string
  addDev: (name: string, tarball: string) => string
  /** Before a program of an installed package. */
  exec: string
  /** Before the name of a script. */
  script: string
}

const YARN = {
  tool: '@yarnpkg/cli-dist@4.18.1',
  add: (name: string, tarball: string) => `yarn add ${name}@file:${tarball}`,
  addDev: (name: string, tarball: string) => `yarn add -D ${name}@file:${tarball}`,
  exec: 'yarn',
  script: 'yarn run',
}

export const PACKAGE_MANAGERS = {
  npm: {
    title: 'npm',
    files: { 'package-lock.json': '{ "name": "shop", "lockfileVersion": 3, "requires": true, "packages": {} }\n' },
    add: (_name, tarball) => `npm install ${tarball}`,
    addDev: (_name, tarball) => `npm install -D ${tarball}`,
    exec: 'npx',
    script: 'npm run',
  },
  pnpm: {
    title: 'pnpm',
    tool: 'pnpm@12.21.0',
    files: {
      'pnpm-lock.yaml': "lockfileVersion: '9.0'\n",
      // What `pnpm approve-builds` writes.
      'pnpm-workspace.yaml': 'allowBuilds:\n  "@prisma/engines": false\n  esbuild: true\n  prisma: false\n',
    },
    add: (_name, tarball) => `pnpm add ${tarball}`,
    addDev: (_name, tarball) => `pnpm add -D ${tarball}`,
    exec: 'pnpm exec',
    script: 'pnpm run',
  },
  yarn: { title: 'Yarn 4', ...YARN, files: { 'yarn.lock': '', '.yarnrc.yml': 'nodeLinker: node-modules\n' } },
  'yarn-pnp': {
    title: "Yarn 4 with Plug'n'Play",
    ...YARN,
    // Before Node 24, Prisma 7's command does not find one of its ES modules in Yarn's archives.
    node: 'node@24',
    files: { 'yarn.lock': '', '.yarnrc.yml': 'nodeLinker: pnp\n' },
  },
  bun: {
    title: 'Bun',
    tool: 'bun@1.4.5',
    files: { 'bun.lock': '' },
    add: (_name, tarball) => `bun add ${tarball}`,
    addDev: (_name, tarball) => `bun add -d ${tarball}`,
    exec: 'bunx',
    script: 'bun run',
  },
} satisfies Record<string, TestedPackageManager>

/** The path of a packed tarball. */
export function tarballOf(name: 'async-gen' | '@async-gen/runtime'): string {
  const file = readdirSync(PACKAGES).find((each) => /^async-gen-runtime-/.test(each) === (name !== 'async-gen'))
  return join(PACKAGES, file!)
}

/**
 * Runs a command of a package manager in a shell, as a user types it.
 *
 * @param programs the folder that `installTool` returns
 */
export async function runTyped(dir: string, programs: string, command: string, env: Record<string, string> = {}) {
  return await run(dir, 'sh', ['-c', command], {
    env: {
      PATH: [programs, process.env.PATH].join(delimiter),
      // In CI, pnpm and Yarn refuse to change a lock file.
      CI: '',
      npm_config_audit: 'false',
      npm_config_fund: 'false',
      npm_config_prefer_offline: 'true',
      npm_config_update_notifier: 'false',
      // pnpm would record the files of pnpm for all systems, which not every registry has.
      pnpm_config_pm_on_fail: 'ignore',
      YARN_ENABLE_TELEMETRY: '0',
      ...env,
    },
  })
}

/** Installs a package manager for this run of the tests, outside of every project. Returns the folder of its programs. */
export async function installTool({ tool, node }: TestedPackageManager): Promise<string> {
  const prefix = mkdtempSync(join(process.env.TEST_MODULES!, 'tool-'))
  const packages = [tool, node].filter((name) => name !== undefined)
  const install = ['install', '--prefix', prefix, '--no-audit', '--no-fund', '--prefer-offline']
  if (packages.length > 0) await run(prefix, 'npm', [...install, ...packages])
  return join(prefix, 'node_modules', '.bin')
}
