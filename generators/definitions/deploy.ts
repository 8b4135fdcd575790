import { basename } from 'node:path/posix'
import { parse } from 'jsonc-parser'
import type { Context, Emission } from '../changes/stage.js'
import { UsageError } from '../host/errors.js'
import { readText } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { Generator } from './generator.js'

/** The ways to run a worker in production: the template and the host's path of each file, and the user's first step. */
const KINDS: Record<string, { files: Record<string, string>; firstEdit: string }> = {
  systemd: {
    files: { 'deploy/systemd/async-gen-worker@.service': 'deploy/async-gen-worker@.service' },
    firstEdit:
      'Set the folder, the user and the environment in deploy/async-gen-worker@.service. Its first lines list the commands',
  },
  docker: {
    files: {
      'deploy/docker/Dockerfile.worker': 'Dockerfile.worker',
      'deploy/docker/Dockerfile.worker.dockerignore': 'Dockerfile.worker.dockerignore',
      'deploy/docker/compose.worker.yaml': 'compose.worker.yaml',
    },
    firstEdit: 'Read the first lines of Dockerfile.worker: they list the commands',
  },
  kubernetes: {
    files: { 'deploy/kubernetes/async-gen-worker.yaml': 'deploy/kubernetes/async-gen-worker.yaml' },
    firstEdit:
      'Set the image and the secret in deploy/kubernetes/async-gen-worker.yaml. Its first lines list the commands',
  },
  pm2: {
    files: { 'deploy/pm2/ecosystem.worker.config.cjs': 'ecosystem.worker.config.cjs' },
    firstEdit: 'Read the first lines of ecosystem.worker.config.cjs: they list the commands',
  },
  procfile: {
    files: { 'deploy/procfile/Procfile': 'Procfile' },
    firstEdit: 'Scale the process type "worker", on Heroku with: heroku ps:scale worker=2',
  },
}

export const deployKinds = Object.keys(KINDS)

/** The configuration that runs the worker in production. */
export const deploy: Generator = {
  name: 'deploy',
  description: 'The configuration that runs the worker: systemd, docker, kubernetes, pm2 or procfile',
  prompts: [{ type: 'list', name: 'name', message: 'How does the worker run in production?', choices: deployKinds }],

  owner: ({ names }) => `deploy ${names.join(' ')}`,

  parseName(given) {
    if (Object.hasOwn(KINDS, given)) return given
    throw new UsageError({
      code: 'KIND_UNKNOWN',
      message: `Unknown deployment kind "${given}".`,
      remedy: `Choose one of these: ${deployKinds.join(', ')}`,
    })
  },

  emissions(host, answers) {
    const context = contextOf(host)
    // A newer version may have recorded a kind that this one does not know.
    const kinds = answers.names.filter((kind) => deployKinds.includes(kind))
    return [
      ...kinds.flatMap((kind) =>
        Object.entries(KINDS[kind]!.files).map(([template, path]): Emission => {
          const note = kind === 'procfile' && addToProcfile(host, context)
          return (
            note || { kind: 'file', owner: this.owner(answers), template, context, path, shared: false, verbatim: true }
          )
        }),
      ),
      ...(kinds.some((kind) => kind !== 'procfile') ? withoutNodeModules(host) : []),
    ]
  },

  firstEdit: ({ names }) => names.map((kind) => KINDS[kind]!.firstEdit).join('. '),
}

/** An existing Procfile belongs to the user, who has to add one line. */
function addToProcfile({ root }: Host, { exec }: Context): Emission | undefined {
  const procfile = readText(root, 'Procfile')
  if (procfile === null || /\basync-(gen-)?worker\b/.test(procfile)) return undefined
  return {
    kind: 'note',
    text: `this project has a Procfile. Add this line to it:\n  worker: ${exec} async-gen-worker run`,
  }
}

/** The files start the program in node_modules, so that a supervisor sends its signals to the worker and not to a package manager. */
function withoutNodeModules({ packageManager }: Host): Emission[] {
  if (!packageManager.plugAndPlay) return []
  const text =
    "with Yarn's Plug'n'Play there is no node_modules. In the written files, replace the command of the worker by: yarn async-gen-worker run"
  return [{ kind: 'note', text }]
}

/** For the Dockerfile: the files that an installation needs, and the command that installs the locked versions. */
const PACKAGE_MANAGERS: Record<string, { manifests: string; ci: string }> = {
  npm: { manifests: 'package*.json', ci: 'npm ci' },
  pnpm: { manifests: 'package.json pnpm-*.yaml', ci: 'corepack enable && pnpm install --frozen-lockfile' },
  yarn: { manifests: 'package.json yarn.lock .yarnrc*', ci: 'corepack enable && yarn install --immutable' },
  bun: { manifests: 'package.json bun.lock*', ci: 'bun install --frozen-lockfile' },
}

function contextOf({ node, packageJson, packageManager, root }: Host): Context {
  const { name, exec } = packageManager
  const bun = name === 'bun'
  return {
    app: slug(parse(packageJson.text).name) || slug(basename(root)) || 'app',
    exec,
    image: bun ? 'oven/bun:1' : `node:${node.split('.')[0]}-slim`,
    user: bun ? 'bun' : 'node',
    build: 'build' in packageJson.scripts ? `${name} run build` : '',
    ...(PACKAGE_MANAGERS[name] ?? PACKAGE_MANAGERS.npm!),
  }
}

/** `shop-api` for `@acme/Shop_API`: a name that Kubernetes, Docker and systemd all accept. */
function slug(name: unknown): string {
  return String(name ?? '')
    .replace(/^@[^/]*\//, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40)
}
