import type { Database } from '../core/database.js'
import { SMALLEST_ID } from '../core/row-id.js'
import type { Content, ContentOwner } from './content.js'
import type { AttemptRow, StoredError } from './row.js'
import { reencryptStatements } from './sql/reencrypt.js'

/** How far a re-encryption came. */
export interface Reencryption {
  /** How many rows it re-encrypted. */
  done: number
  /** How many rows still need an older key: they are running, or do not decrypt. */
  left: number
}

/** The content of a row, encrypted with the current encryptor. */
interface ReencryptedRow {
  id: bigint
  args: string
  result: string | null
  errors: StoredError[]
}

/** Re-encrypts rows whose encryptor is not the current one, `batch` rows at a time. */
export async function reencryptAll(
  db: Database,
  table: string,
  content: Content,
  batch: number,
): Promise<Reencryption> {
  const name = content.nameFor(undefined)
  if (name === null) return { done: 0, left: 0 }
  const rows = new EncryptedRows(db, table)
  let done = 0
  for (let after = SMALLEST_ID; ; ) {
    const page = await rows.page(name, after, batch)
    if (page.length === 0) return { done, left: await rows.count(name) }
    const readable = page.flatMap((row) => {
      try {
        return [reencrypted(content, row, name)]
      } catch {
        return []
      }
    })
    done += await rows.replace(readable, name)
    after = BigInt(page.at(-1)!.id)
  }
}

/** The rows of a table whose encryptor is not the current one. */
export class EncryptedRows {
  readonly #db: Database
  readonly #sql: ReturnType<typeof reencryptStatements>

  constructor(db: Database, table: string) {
    this.#db = db
    this.#sql = reencryptStatements(table)
  }

  /** The next rows, in the order of their ids. */
  async page(current: string, after: bigint, limit: number): Promise<AttemptRow[]> {
    return await this.#db.query<AttemptRow>(this.#sql.encryptedOtherwise, [current, after, limit])
  }

  async count(current: string): Promise<number> {
    const [row] = await this.#db.query<{ count: string }>(this.#sql.countEncryptedOtherwise, [current])
    return Number(row!.count)
  }

  /** Stores the content of rows that have not changed since they were read. Returns how many those were. */
  async replace(rows: ReencryptedRow[], current: string): Promise<number> {
    return await this.#db.transaction(async (query) => {
      await query(this.#sql.allowReencryption, [])
      const values = [
        rows.map(({ id }) => id),
        rows.map(({ args }) => args),
        rows.map(({ result }) => result),
        rows.map(({ errors }) => JSON.stringify(errors)),
        current,
      ]
      return (await query(this.#sql.reencrypt, values)).length
    })
  }
}

function reencrypted(content: Content, row: AttemptRow, encryptor: string): ReencryptedRow {
  const before: ContentOwner = { id: BigInt(row.id), target: row.target, method: row.method, encryptor: row.encryptor }
  const after: ContentOwner = { ...before, encryptor }
  const reencrypt = (stored: AttemptRow['args'], column: 'args' | 'result' | 'errors') =>
    content.seal(JSON.stringify(content.open(stored, before, column)), after, column)
  return {
    id: before.id,
    args: reencrypt(row.args, 'args'),
    result: row.result === null ? null : reencrypt(row.result, 'result'),
    errors: row.errors.map((entry) =>
      'encrypted' in entry ? { ...entry, encrypted: JSON.parse(reencrypt(entry.encrypted, 'errors')) } : entry,
    ),
  }
}
