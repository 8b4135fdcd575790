import type { Database } from '../core/database.js'
import type { Json } from '../core/serialize.js'
import type { Statement } from '../core/statement.js'

/** A row of the reports' table. */
export interface ReportRow {
  id: string
  type: string
  /** The digest of the arguments. */
  key: string
  args: Json
  created_at: Date
  updated_at: Date
}

/** The SQL of one table of reports. */
export class ReportStore {
  readonly table: string
  readonly #db: Database
  readonly #sql: ReturnType<typeof statements>

  constructor(db: Database, table: string) {
    this.table = table
    this.#db = db
    this.#sql = statements(table)
  }

  /** Finds the report of that type and key, or creates it. */
  async findOrCreate(type: string, key: string, args: string): Promise<ReportRow> {
    const [created] = await this.#db.query<ReportRow>(this.#sql.create, [type, key, args])
    if (created) return created
    const [found] = await this.#db.query<ReportRow>(this.#sql.findByKey, [type, key])
    return found ?? (await this.findOrCreate(type, key, args))
  }

  async find(id: number | bigint): Promise<ReportRow | undefined> {
    const [row] = await this.#db.query<ReportRow>(this.#sql.find, [id])
    return row
  }

  /** Which of these ids, as texts, have a report. */
  async existing(ids: string[]): Promise<Set<string>> {
    const rows = await this.#db.query<{ id: string }>(this.#sql.existing, [ids])
    return new Set(rows.map(({ id }) => id))
  }
}

const columns = 'id, type, key, args, created_at, updated_at'

const statements = (table: string) =>
  ({
    create: {
      name: `${table}:create`,
      text: `
        -- $1 type, $2 key, $3 args
        INSERT INTO "${table}" (type, key, args)
        VALUES ($1, $2, $3::jsonb)
        ON CONFLICT (type, key) DO NOTHING
        RETURNING ${columns}`,
    },

    findByKey: {
      name: `${table}:find-by-key`,
      text: `SELECT ${columns} FROM "${table}" WHERE type = $1 AND key = $2`,
    },

    find: {
      name: `${table}:find`,
      text: `SELECT ${columns} FROM "${table}" WHERE id = $1`,
    },

    existing: {
      name: `${table}:existing`,
      text: `SELECT id FROM "${table}" WHERE id = ANY ($1::bigint[])`,
    },
  }) satisfies Record<string, Statement>
