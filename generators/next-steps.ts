import type { Manifest } from './changes/manifest.js'
import type { Plan } from './changes/plan.js'
import type { Host } from './host/inspect.js'

/** What is left for the user to do, in order. */
export function nextSteps(host: Host, manifest: Manifest | null, { writes }: Plan, firstEdit: string): string[] {
  const { install, exec } = host.packageManager
  const written = (test: RegExp) => writes.some(({ path }) => test.test(path))
  const sql = writes.filter(({ path, after }) => path.endsWith('/migration.sql') && after !== null)
  const migrated = sql.length > 0
  const pushes = isPushed(host, manifest)
  return [
    ...(written(/^package\.json$/) ? [install] : []),
    ...(migrated && !pushes ? [`${exec} prisma migrate dev   (in production: ${exec} prisma migrate deploy)`] : []),
    ...(migrated && pushes ? sql.map(({ path }) => `${exec} prisma db execute --file ${path}`) : []),
    ...(migrated && pushes ? [`${exec} prisma db push   (which finds the tables there, and leaves the triggers)`] : []),
    ...(migrated ? [`${exec} prisma generate`] : []),
    ...(written(/^(?!\.async-gen\/)/) ? [firstEdit] : []),
  ]
}

/**
 * Whether the host keeps its database in step with `prisma db push`: it has models, and no migration but ours. There
 * `migrate dev` would propose to reset the database.
 */
function isPushed({ migrations, schema }: Host, manifest: Manifest | null): boolean {
  const ours = Object.values(manifest?.migrations ?? {}).map(({ folder }) => folder)
  return migrations.names.every((name) => ours.includes(name)) && schema.names.length > 0
}
