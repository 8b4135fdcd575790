import type { Content, Owner } from './content.js'
import type { AttemptRow, AttemptStore, Reencrypted } from './store.js'

/** How far a re-encryption came. */
export interface Reencryption {
  /** How many rows it encrypted anew. */
  done: number
  /** How many are still encrypted otherwise: they were running, or do not decrypt. */
  left: number
}

/** Encrypts rows anew, a batch at a time, whose encryptor is not the one that new rows get. */
export async function reencryptAll(store: AttemptStore, content: Content, batch: number): Promise<Reencryption> {
  const name = content.nameFor(undefined)
  if (name === null) return { done: 0, left: 0 }
  let done = 0
  for (let after = 0n; ; ) {
    const rows = await store.encryptedOtherwise(name, after, batch)
    if (rows.length === 0) return { done, left: await store.countEncryptedOtherwise(name) }
    const readable = rows.flatMap((row) => {
      try {
        return [reencrypted(content, row, name)]
      } catch {
        return []
      }
    })
    done += await store.reencrypt(readable, name)
    after = BigInt(rows.at(-1)!.id)
  }
}

function reencrypted(content: Content, row: AttemptRow, encryptor: string): Reencrypted {
  const owner: Owner = { id: BigInt(row.id), target: row.target, method: row.method, encryptor: row.encryptor }
  const anew: Owner = { ...owner, encryptor }
  const again = (stored: AttemptRow['args'], column: 'args' | 'result' | 'errors') =>
    content.seal(JSON.stringify(content.open(stored, owner, column)), anew, column)
  return {
    id: owner.id,
    args: again(row.args, 'args'),
    result: row.result === null ? null : again(row.result, 'result'),
    errors: row.errors.map((entry) =>
      'encrypted' in entry ? { ...entry, encrypted: JSON.parse(again(entry.encrypted, 'errors')) } : entry,
    ),
  }
}
