import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { AsyncGenError, DecryptionError, UnknownEncryptorError } from './errors.js'

/**
 * Encrypts the content of rows. A host may write its own encryptor: two functions and a name.
 *
 * `context` names the place of the content: table, row, target, method, column. Content that was encrypted for one context must not
 * decrypt in another, so that it cannot be moved to another row.
 */
export interface Encryptor {
  /** Stored in each row, to find the encryptor when the row is read. */
  readonly name: string
  /** Names in older rows that this encryptor can still decrypt, such as those of older keys. */
  readonly previousNames?: readonly string[]
  encrypt(content: string, context: string): string
  /** @throws if the content was not encrypted by this encryptor for this context */
  decrypt(content: string, context: string): string
}

/** Does not encrypt. For a single attempt without secrets in a model whose attempts are encrypted. */
export const NullEncryptor: Encryptor = {
  name: 'null',
  encrypt: (content) => content,
  decrypt: (content) => content,
}

const ALGORITHM = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * AES-256-GCM with named keys. The first key encrypts, the others only decrypt. To rotate keys, put a new key first.
 *
 *     new AesGcmEncryptor({ '2026-11': process.env.ATTEMPT_KEY, '2026-01': process.env.ATTEMPT_KEY_BEFORE })
 *
 * A ciphertext is `<key's name>.<base64 of nonce, tag and content>`; the context is its additional authenticated data.
 */
export class AesGcmEncryptor implements Encryptor {
  readonly name: string
  readonly previousNames: readonly string[]
  readonly #current: string
  readonly #keys: ReadonlyMap<string, Buffer>

  /** @param keys 32 bytes each, as base64, hex or bytes: `openssl rand -base64 32` */
  constructor(keys: Record<string, string | Uint8Array | undefined>) {
    this.#keys = new Map(Object.entries(keys).map(([id, key]) => [id, parseKey(id, key)]))
    const [current, ...previous] = [...this.#keys.keys()]
    if (current === undefined) {
      throw new AsyncGenError(
        'INVALID_ENCRYPTION_KEY',
        'An AesGcmEncryptor needs at least one key. Create one: openssl rand -base64 32',
      )
    }
    this.#current = current
    this.name = nameOf(current)
    this.previousNames = previous.map(nameOf)
  }

  encrypt(content: string, context: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, this.#keys.get(this.#current)!, nonce).setAAD(Buffer.from(context))
    const encrypted = Buffer.concat([cipher.update(content, 'utf8'), cipher.final()])
    return `${this.#current}.${Buffer.concat([nonce, cipher.getAuthTag(), encrypted]).toString('base64')}`
  }

  decrypt(content: string, context: string): string {
    const dot = content.lastIndexOf('.')
    if (dot === -1) throw new DecryptionError('The content is not a ciphertext: it was truncated or changed.')
    const id = content.slice(0, dot)
    const key = this.#keys.get(id)
    // The text before the dot may be secret content, so the message does not contain it.
    if (!key)
      throw new UnknownEncryptorError(
        `The content was encrypted with an unknown key. The known keys are: ${[...this.#keys.keys()].join(', ')}.`,
      )
    const bytes = Buffer.from(content.slice(dot + 1), 'base64')
    const [nonce, tag] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)]
    try {
      const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
      decipher.setAAD(Buffer.from(context)).setAuthTag(tag)
      const rest = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES))
      return Buffer.concat([rest, decipher.final()]).toString('utf8')
    } catch (error) {
      throw new DecryptionError(
        `The content does not decrypt with the key "${id}". It was truncated, changed or moved from another row, or the key of that name is another one.`,
        { cause: error },
      )
    }
  }
}

function nameOf(key: string): string {
  return `${ALGORITHM}:${key}`
}

function parseKey(id: string, key: string | Uint8Array | undefined): Buffer {
  if (key === undefined || key.length === 0) {
    throw new AsyncGenError(
      'INVALID_ENCRYPTION_KEY',
      `The encryption key "${id}" is not set. Create one: openssl rand -base64 32`,
    )
  }
  const bytes =
    typeof key !== 'string' ? Buffer.from(key) : Buffer.from(key, /^[0-9a-f]{64}$/i.test(key) ? 'hex' : 'base64')
  if (bytes.length !== KEY_BYTES) {
    throw new AsyncGenError(
      'INVALID_ENCRYPTION_KEY',
      `The encryption key "${id}" has ${bytes.length} bytes. It must have ${KEY_BYTES}. Create one: openssl rand -base64 32`,
    )
  }
  return bytes
}
