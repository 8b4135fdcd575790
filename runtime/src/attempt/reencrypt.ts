import type { Content, Owner } from './content.js'
import type { AttemptRow, AttemptStore, Reencrypted } from './store.js'

/** Encrypts rows anew, a batch at a time, whose encryptor is not the one that new rows get. Returns how many. */
export async function reencryptAll(store: AttemptStore, content: Content, batch: number): Promise<number> {
  const name = content.nameFor(undefined)
  if (name === null) return 0
  let total = 0
  for (let after = 0n; ; ) {
    const rows = await store.encryptedOtherwise(name, after, batch)
    if (rows.length === 0) return total
    total += await store.reencrypt(
      rows.map((row) => reencrypted(content, row, name)),
      name,
    )
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
