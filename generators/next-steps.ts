import type { Manifest } from './changes/manifest.js'
import type { Plan } from './changes/plan.js'
import type { Host } from './host/inspect.js'

/** What is left for the user to do, in order. */
export function nextSteps(host: Host, manifest: Manifest | null, { writes }: Plan, firstEdit: string): string[] {
  const { install, exec } = host.packageManager
  const written = (test: RegExp) => writes.some(({ path }) => test.test(path))
  const sql = writes.flatMap(({ path, after }) => (path.endsWith('/migration.sql') && after !== null ? [path] : []))
  return [
    ...(written(/^package\.json$/) ? [install] : []),
    ...(sql.length > 0 ? [migrate(host, manifest, sql), `${exec} prisma generate`] : []),
    ...(written(/^(?!\.async-gen\/)/) ? [firstEdit] : []),
  ]
}

function migrate(host: Host, manifest: Manifest | null, sql: string[]): string {
  const { exec } = host.packageManager
  const usual = `${exec} prisma migrate dev   (in production: ${exec} prisma migrate deploy)`
  if (hasMigrated(host, manifest)) return usual
  return [
    usual,
    'Where `prisma db push` made the database, which `migrate dev` would reset, run instead:',
    ...sql.map((path) => `  ${exec} prisma db execute --file ${path}`),
    `  ${exec} prisma db push   (which finds the tables there, and leaves the triggers)`,
  ].join('\n')
}

/** Whether the host has migrations of its own. One with models and none is new, or is kept in step by `prisma db push`. */
function hasMigrated({ migrations, schema }: Host, manifest: Manifest | null): boolean {
  const ours = Object.values(manifest?.migrations ?? {}).map(({ folder }) => folder)
  return migrations.names.some((name) => !ours.includes(name)) || schema.names.length === 0
}
