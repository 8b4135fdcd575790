import { major, satisfies } from 'semver'
import { runsGraphileWorker18 } from '../../definitions/install.js'
import type { Host } from '../../host/inspect.js'
import { type InstalledPackage, installedPackage, installedVersion } from '../../host/installed-package.js'
import type { Finding } from './finding.js'

/** What the README lists as tested, in ranges of npm. Prisma's is checked when the host is read, PostgreSQL's in the database. */
export const TESTED = {
  node: '^20.19 || ^22.12 || >=24',
  worker: '^0.17.0 || ^0.18.0',
  vitest: '^4 || ^5',
  jest: '^30',
}

/** The versions in the host that do not fit together, or that no test of async-gen runs with. */
export function versionFindings(host: Host): Finding[] {
  return [
    ...nodeVersion(host),
    ...workerVersion(host),
    ...prismaNode(host),
    ...clientVersion(host),
    ...testRunner(host),
    ...plugAndPlay(host),
  ]
}

function nodeVersion({ node }: Host): Finding[] {
  if (isIn(TESTED.node, node)) return []
  return [
    {
      severity: 'warning',
      code: 'NODE_VERSION',
      message: `This is Node ${node}. async-gen needs Node 20.19, 22.12, 24 or later; it does not support the odd versions 21 and 23.`,
      remedy: 'Change to a supported version of Node.',
    },
  ]
}

function workerVersion({ root, node }: Host): Finding[] {
  const worker = installedPackage(root, 'graphile-worker')
  if (!worker) return []
  if (!isIn(TESTED.worker, worker.version)) {
    return [
      {
        severity: 'error',
        code: 'WORKER_VERSION',
        message: `graphile-worker ${worker.version} is installed. async-gen needs 0.17 or 0.18.`,
        where: 'package.json',
        remedy: runsGraphileWorker18(node)
          ? 'npm install graphile-worker@^0.18.0'
          : 'npm install graphile-worker@^0.17.3 (0.18 needs Node 22.18)',
      },
    ]
  }
  if (isIn('<0.18.0-0', worker.version) || runsGraphileWorker18(node)) return []
  return [
    {
      severity: 'error',
      code: 'WORKER_NODE',
      message: `graphile-worker ${worker.version} needs Node 22.18 or later. This is Node ${node}.`,
      where: 'package.json',
      remedy: 'Upgrade Node, or: npm install graphile-worker@^0.17.3',
    },
  ]
}

function prismaNode({ root, node }: Host): Finding[] {
  const prisma = installedPackage(root, 'prisma')
  // A Node that nothing here supports is one finding.
  if (!prisma || !isIn(TESTED.node, node) || runsOn(node, prisma)) return []
  return [
    {
      severity: 'warning',
      code: 'PRISMA_NODE',
      message: `prisma ${prisma.version} needs Node ${prisma.engines!.node}. This is Node ${node}.`,
      where: 'package.json',
      remedy: 'Upgrade Node.',
    },
  ]
}

/** The generated client loads `@prisma/client`, which the command `prisma` does not install. Prisma 8 has none. */
function clientVersion({ root, prisma, emitContract }: Host): Finding[] {
  if (emitContract) return []
  const client = installedVersion(root, '@prisma/client')
  if (client === null || major(client) === major(prisma.version)) return []
  return [
    {
      severity: 'error',
      code: 'PRISMA_CLIENT_VERSION',
      message: `@prisma/client ${client} and prisma ${prisma.version} are installed. Both must have the same version.`,
      where: 'package.json',
      remedy: `npm install @prisma/client@${prisma.version}, then: npx prisma generate`,
    },
  ]
}

function testRunner({ root, node, testRunner }: Host): Finding[] {
  if (testRunner !== 'vitest' && testRunner !== 'jest') return []
  const runner = installedPackage(root, testRunner)
  if (!runner) return []
  const { version } = runner
  if (!runsOn(node, runner)) {
    return [
      {
        severity: 'error',
        code: 'TEST_RUNNER_NODE',
        message: `${testRunner} ${version} does not run on Node ${node}: it needs ${runner.engines!.node}.`,
        where: 'package.json',
        remedy: `Upgrade Node, or install an earlier version of ${testRunner}.`,
      },
    ]
  }
  if (isIn(TESTED[testRunner], version)) return []
  return [
    {
      severity: 'note',
      code: 'TEST_RUNNER_VERSION',
      message: `${testRunner} ${version} is installed. The specs that async-gen writes are tested with ${testRunner} ${TESTED[testRunner].replaceAll('^', '').replace(' || ', ' and ')}.`,
      where: 'package.json',
      remedy: `If a spec fails, upgrade ${testRunner}.`,
    },
  ]
}

function plugAndPlay(host: Host): Finding[] {
  if (!host.packageManager.plugAndPlay) return []
  return [...plugAndPlayNode(host), ...plugAndPlayClient(host)]
}

/** Prisma 7's command loads an ES module with `require`. Before Node 24, that does not find the modules in Yarn's archives. */
function plugAndPlayNode({ node, schema }: Host): Finding[] {
  if (schema.major !== 7 || major(node) >= 24) return []
  return [
    {
      severity: 'warning',
      code: 'PNP_NODE',
      message: `With Yarn's Plug'n'Play, the command of Prisma ${schema.major} does not run on Node ${node}.`,
      remedy: 'Use Node 24 for it, or set `nodeLinker: node-modules` in .yarnrc.yml.',
    },
  ]
}

/** With Plug'n'Play there is no node_modules, where the generator puts a client without `output`. */
function plugAndPlayClient({ schema }: Host): Finding[] {
  if (!schema.clients.some(({ provider, output }) => provider === 'prisma-client-js' && output === null)) return []
  return [
    {
      severity: 'error',
      code: 'PNP_CLIENT',
      message:
        "The generator prisma-client-js writes its client into node_modules, and there is none with Yarn's Plug'n'Play.",
      where: schema.path,
      remedy:
        'Give the generator an `output` in the project, and import the client from there. Or set `nodeLinker: node-modules` in .yarnrc.yml.',
    },
  ]
}

function runsOn(node: string, { engines }: InstalledPackage): boolean {
  return !engines?.node || satisfies(node, engines.node)
}

/** A version before a release counts, too. A linked package may have none, and is in no range. */
export function isIn(range: string, version: string): boolean {
  return satisfies(version, range, { includePrerelease: true })
}
