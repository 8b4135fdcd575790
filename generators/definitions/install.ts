import { gte, validRange } from 'semver'
import { RECORDS } from '../changes/manifest.js'
import { modelsOfHost } from '../host/host-models.js'
import type { Host } from '../host/inspect.js'
import { version } from '../host/own-package.js'
import type { PackageJson } from '../host/package-json.js'
import { clientContext, databaseSchema, files, migrations, sharedContext, specs } from './emissions.js'
import type { Generator } from './generator.js'
import { invalidation } from './invalidation.js'

/** Toasts, tasks and the worker process. The other generators depend on it. */
export const install: Generator = {
  name: 'install',
  description: 'Cached methods, background tasks and the worker process',
  prompts: [],

  owner: () => 'install',

  emissions(host, answers) {
    const { dir } = answers
    const owner = this.owner(answers)
    const context = sharedContext(host, answers)
    const ownClient = clientContext(host, answers)
    return [
      ...(ownClient ? files(owner, dir, ownClient, ['install/async/client.ts']) : []),
      ...files(owner, dir, context, [
        'install/async/database.ts',
        'install/async/toasts.ts',
        'install/async/worker.ts',
        'install/async/tasks/refresh_toast.ts',
        'install/async/tasks/sweep.ts',
      ]),
      ...specs(host, owner, dir, context, ['install/async/test/toasts.test.ts']),
      // In our own folder, so that the user's .gitattributes stays untouched.
      {
        kind: 'file',
        owner,
        template: 'install/gitattributes',
        context,
        path: `${RECORDS}/.gitattributes`,
        shared: false,
        verbatim: true,
      },
      {
        kind: 'fragment',
        owner,
        name: 'toasts',
        template: 'install/schema.prisma',
        context,
        databaseSchema: databaseSchema(host),
      },
      ...migrations(owner, context, [
        { name: 'create_toasts', template: 'install/migrations/001_create.sql' },
        { name: 'extend_toasts', template: 'install/migrations/002_extend.sql' },
      ]),
      ...(answers.invalidateOn?.length ? invalidation(modelsOfHost(host), answers.invalidateOn, owner) : []),
      { kind: 'package', ...packages(host, dir) },
    ]
  },

  firstEdit: ({ dir }) => `Define your cached methods in ${dir}/toasts.ts`,
}

function packages({ node, packageManager, packageJson, testRunner, schema }: Host, dir: string) {
  const bun = packageManager.name === 'bun'
  const runner = bun ? 'bun' : 'async-gen-worker run'
  const worker = `${dir}/worker.ts`
  return {
    dependencies: {
      '@async-gen/runtime': `^${version}`,
      // The runtime has the class of decimals from there. Prisma 8 has none.
      ...(schema.major === 8 && { '@prisma/client': '^7.10.0' }),
      'graphile-worker': runsGraphileWorker18(node) ? '^0.18.0' : '^0.17.3',
    },
    devDependencies: {
      // bun runs TypeScript by itself, but node:test does not.
      ...((!bun || testRunner === 'node:test') && { tsx: '^4.19.0' }),
      ...(testRunner === 'jest' && { '@jest/globals': rangeOfJest(packageJson) }),
    },
    scripts: { 'async:worker': `${runner} ${/^[\w./@-]+$/.test(dir) ? worker : JSON.stringify(worker)}` },
  }
}

/** The specs import `@jest/globals`, which has the version of Jest. A catalog or a workspace has no entry for it. */
function rangeOfJest({ ranges: { jest = '*' } }: PackageJson): string {
  return validRange(jest) ? jest : '*'
}

/** Whether a version of Node.js runs graphile-worker 0.18. */
export function runsGraphileWorker18(node: string): boolean {
  return gte(node, '22.18.0')
}
