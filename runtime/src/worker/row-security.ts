import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import type { Statement } from '../core/statement.js'
import { sweptTables } from '../core/swept-table.js'
import type { Log } from './log.js'

/**
 * Checks that the worker's role sees all rows and jobs: it would leave hidden ones without an error. Warns if the trigger of a table may
 * not add jobs, so that its rows wait for the sweep.
 *
 * @throws AsyncGenError NO_JOBS, NO_ROWS
 */
export async function checkRowSecurity(db: Database, log: Log): Promise<void> {
  const [jobs] = await db.query<HiddenTable>(hiddenTables, [['graphile_worker._private_jobs']])
  if (jobs) {
    throw new AsyncGenError(
      'NO_JOBS',
      `The role ${jobs.role} cannot see Graphile Worker's jobs, because it does not own the tables. ` +
        `Connect as ${jobs.owner}, or make it a member: GRANT "${jobs.owner}" TO "${jobs.role}"`,
    )
  }
  const tables = [...sweptTables(db)].map(({ table }) => table)
  const quoted = [...tables, 'async_workers', 'async_pauses'].map((table) => `"${table}"`)
  const [rows] = await db.query<HiddenTable>(hiddenTables, [quoted])
  if (rows) {
    throw new AsyncGenError(
      'NO_ROWS',
      `Row security hides rows of ${rows.table} from the role ${rows.role}: the worker would never process them. ` +
        `Connect as ${rows.owner}, which owns the table, or let the role see all rows: ALTER ROLE "${rows.role}" BYPASSRLS`,
    )
  }
  for (const { name, owner, jobsOwner } of await db.query<OwnerWithoutRights>(ownersWithoutRights, [
    tables.map((table) => `"${table}_enqueue"`),
  ])) {
    log.message(
      'warning',
      `${name}() belongs to ${owner}, which may not add jobs: rows wait for the next sweep. ` +
        `Give the function to the owner of Graphile Worker's tables: ALTER FUNCTION ${name}() OWNER TO "${jobsOwner}"`,
    )
  }
}

interface HiddenTable {
  role: string
  table: string
  owner: string
}

const hiddenTables: Statement = {
  name: 'async-gen:hidden-tables',
  text: `
    SELECT current_user::text AS role, oid::regclass::text AS table, pg_get_userbyid(relowner)::text AS owner
    FROM unnest($1::text[]) AS name
    JOIN pg_class ON pg_class.oid = to_regclass(name)
    WHERE row_security_active(oid)`,
}

interface OwnerWithoutRights {
  name: string
  owner: string
  jobsOwner: string
}

// The same check as in the functions themselves. Those of 0.1.0 run as the role that fires the trigger, and check nothing.
const ownersWithoutRights: Statement = {
  name: 'async-gen:owners-without-rights',
  text: `
    SELECT enqueue.oid::regproc::text AS name, owner.rolname::text AS owner, pg_get_userbyid(jobs.relowner)::text AS "jobsOwner"
    FROM unnest($1::text[]) AS name
    JOIN pg_proc AS enqueue ON enqueue.oid = to_regproc(name)
    JOIN pg_roles AS owner ON owner.oid = enqueue.proowner
    JOIN pg_class AS jobs ON jobs.oid = to_regclass('graphile_worker._private_jobs')
    WHERE enqueue.prosecdef AND NOT (
      has_schema_privilege(owner.oid, 'graphile_worker', 'USAGE')
      AND (owner.rolsuper OR owner.rolbypassrls OR pg_has_role(owner.oid, jobs.relowner, 'USAGE'))
      AND has_table_privilege(owner.oid, jobs.oid, 'SELECT')
      AND has_table_privilege(owner.oid, jobs.oid, 'INSERT')
      AND has_table_privilege(owner.oid, jobs.oid, 'UPDATE')
    )`,
}
