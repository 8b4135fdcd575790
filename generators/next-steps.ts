import type { Plan } from './changes/plan.js'
import type { Host } from './host/inspect.js'

/** What is left for the user to do, in order. */
export function nextSteps({ packageManager }: Host, { writes }: Plan, firstEdit: string): string[] {
  const { install, exec } = packageManager
  const written = (test: RegExp) => writes.some(({ path }) => test.test(path))
  const migrated = written(/migration\.sql$/)
  return [
    ...(written(/^package\.json$/) ? [install] : []),
    ...(migrated ? [`${exec} prisma migrate dev   (in production: ${exec} prisma migrate deploy)`] : []),
    ...(migrated ? [`${exec} prisma generate`] : []),
    ...(writes.length > 0 ? [firstEdit] : []),
  ]
}
