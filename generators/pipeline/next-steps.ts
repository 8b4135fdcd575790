import { parse } from 'jsonc-parser'
import type { Manifest } from '../changes/manifest.js'
import type { Plan } from '../changes/plan.js'
import { classesMissingIn } from '../definitions/dashboard.js'
import { readText } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import { generatedClasses } from './answers.js'
import { installCommand, quoted, RUNTIME } from './install-command.js'

/**
 * What the user does after a run, in order.
 *
 * @param manifest the manifest after the run, with the flags of this run
 */
export function nextSteps(host: Host, manifest: Manifest, { writes }: Plan, firstEdit: string): string[] {
  const written = (test: RegExp) => writes.some(({ path }) => test.test(path))
  const sql = writes.flatMap(({ path, after }) => (path.endsWith('/migration.sql') && after !== null ? [path] : []))
  return [
    ...(written(/^package\.json$/)
      ? [installCommand(host, writes.find(({ path }) => path === 'package.json')?.after)]
      : []),
    ...(host.emitContract
      ? contractSteps(host, manifest, sql.length > 0, written(/\.prisma$/))
      : [
          ...(sql.length > 0 ? [migrate(host, manifest, sql)] : []),
          ...(sql.length > 0 || written(/\.prisma$/) ? [prismaCommand(host, manifest, 'generate')] : []),
        ]),
    ...(written(/^(?!\.async-gen\/)/) ? [firstEdit] : []),
    ...dashboardHint(host, manifest, writes),
    ...exportsHint(host, manifest, writes),
    ...jestHint(host, manifest, writes),
  ]
}

/** With Prisma 8. The ref tells its next plan where to begin: without it, that plan would not know our tables. */
function contractSteps(host: Host, manifest: Manifest, hasMigration: boolean, hasModels: boolean): string[] {
  return [
    ...(hasModels ? [prismaCommand(host, manifest, 'contract emit')] : []),
    ...(hasMigration
      ? [
          `${prismaCommand(host, manifest, 'db migrate --advance-ref db')}   (in production: ${migrateCommand(host, manifest)})`,
        ]
      : []),
  ]
}

/** The dashboard lists classes, and only its own command adds them. */
function dashboardHint({ root }: Host, manifest: Manifest, writes: Plan['writes']): string[] {
  const path = `${manifest.settings.dir}/dashboard.ts`
  if (!manifest.files[path]) return []
  const text = (writes.find((write) => write.path === path) ?? { after: readText(root, path) }).after
  const missing = text === null ? [] : classesMissingIn(text, generatedClasses(manifest))
  if (missing.length === 0) return []
  return [`Add ${missing.join(', ')} to the dashboard: npx async-gen dashboard`]
}

/** Before Node.js 24.9, Jest loads no ES module from CommonJS, although Node.js does. */
function jestHint({ testRunner }: Host, { settings: { dir } }: Manifest, writes: Plan['writes']): string[] {
  const isNew = writes.some(({ path, before }) => before === null && path === `${dir}/database.ts`)
  if (testRunner !== 'jest' || !isNew) return []
  return [
    `Set up Jest to load ${RUNTIME}, which is an ES module: docs/testing.md of async-gen, "Jest", has the configuration`,
  ]
}

/** A hint for a package with `exports`: other packages cannot import a new file that `exports` does not name. */
function exportsHint({ packageJson }: Host, { settings: { dir } }: Manifest, writes: Plan['writes']): string[] {
  const isNew = writes.some(
    ({ path, before, after }) => before === null && after !== null && path.startsWith(`${dir}/`),
  )
  const { exports } = parse(packageJson.text) ?? {}
  if (!isNew || exports === undefined) return []
  const inside = dir.replace(/^src\//, '')
  const targets = targetsOf(exports).map((target) => target.replace(/^\.\/(?:(?:src|dist|build|lib|out)\/)?/, ''))
  const shows = (target: string) =>
    target.includes('*') ? `${inside}/`.startsWith(target.split('*')[0]!) : target.startsWith(`${inside}/`)
  if (targets.some(shows)) return []
  return [
    `If other packages record calls or read toasts: "exports" in package.json hides ${dir} from them. Add an entry, such as "./${inside}/*": "./${dir}/*.ts" (or the path of your build), or export the classes from your index`,
  ]
}

function targetsOf(exports: unknown): string[] {
  if (typeof exports === 'string') return [exports]
  return typeof exports === 'object' && exports !== null ? Object.values(exports).flatMap(targetsOf) : []
}

/** A Prisma command, with the `--schema` and the `--config` that async-gen remembers: Prisma needs them too. */
export function prismaCommand(host: Host, manifest: Manifest, command: string): string {
  const { schema, config } = manifest.settings
  const taken = command.startsWith('db execute') ? { config, ...databaseOfExecute(host) } : { schema, config }
  const flags = Object.entries(taken).flatMap(([name, value]) => (value ? [`--${name}`, quoted(value)] : []))
  return [host.packageManager.exec, host.prisma.command, command, ...flags].join(' ')
}

/** What runs the migrations in production. */
export function migrateCommand(host: Host, manifest: Manifest): string {
  return prismaCommand(host, manifest, host.emitContract ? 'db migrate' : 'migrate deploy')
}

/** `db execute` of Prisma 7 reads the database from prisma.config and refuses --schema. That of Prisma 6 requires it. */
function databaseOfExecute({ schema }: Host) {
  return schema.major === 6 ? { schema: schema.path } : {}
}

function migrate(host: Host, manifest: Manifest, sql: string[]): string {
  const command = (name: string) => prismaCommand(host, manifest, name)
  const usual = `${command('migrate dev')}   (in production: ${command('migrate deploy')})`
  if (hasMigrated(host, manifest)) return usual
  return [
    usual,
    'If you use `prisma db push` (`migrate dev` would reset that database), run instead:',
    ...sql.map((path) => `  ${command(`db execute --file ${path}`)}`),
    `  ${command('db push')}   (keeps these tables and their triggers)`,
  ].join('\n')
}

/** Whether the host uses migrations. One with models and no migrations is new, or uses `prisma db push`. */
function hasMigrated({ migrations, schema }: Host, manifest: Manifest): boolean {
  const ours = Object.values(manifest.migrations).map(({ folder }) => folder)
  return migrations.names.some((name) => !ours.includes(name)) || schema.names.length === 0
}
