import type { Encryptor } from '../core/encryptor.js'
import {
  DecryptionError,
  describeError,
  type ErrorRecord,
  isInstance,
  UnknownEncryptorError,
  UnknownTargetError,
} from '../core/errors.js'
import { deserialize, type Json, serialize } from '../core/serialize.js'
import type { AttemptError, NewError, NewStoredError, StoredError } from './row.js'

/** The row that content belongs to. What is encrypted for one row and column does not decrypt in another. */
export interface ContentOwner {
  id: bigint
  target: string
  method: string
  /** The name of the row's encryptor; null if the row is not encrypted. */
  encryptor: string | null
}

type Column = 'args' | 'result' | 'errors' | 'progress_message'

/** Serializes arguments, results and errors for the columns of a row, and back. Encrypts them if the row names an encryptor. */
export class Content {
  readonly #table: string
  readonly #encryptors: Map<string, Encryptor>
  /** The encryptor of attempts that name none. */
  readonly default: Encryptor | undefined

  constructor(table: string, encryptor: Encryptor | undefined, others: Encryptor[] = []) {
    this.#table = table
    this.default = encryptor
    this.#encryptors = new Map()
    for (const known of encryptor ? [encryptor, ...others] : others) {
      for (const name of [known.name, ...(known.previousNames ?? [])]) this.#encryptors.set(name, known)
    }
  }

  /** The value of the column `encryptor` for a new row; null if the row is not encrypted. */
  nameFor(encryptor: Encryptor | undefined = this.default): string | null {
    if (!encryptor || encryptor.name === 'null') return null
    this.#find(encryptor.name)
    return encryptor.name
  }

  /** JSON text for a jsonb column: the value itself, or a ciphertext as a JSON string. */
  encode(value: unknown, owner: ContentOwner, column: Column, name: string): string {
    return this.seal(serialize(value, name), owner, column)
  }

  decode(stored: Json, owner: ContentOwner, column: Column): unknown {
    return deserialize(this.open(stored, owner, column))
  }

  /** Encrypts JSON text if the row is encrypted. */
  seal(json: string, owner: ContentOwner, column: Column): string {
    if (owner.encryptor === null) return json
    return JSON.stringify(this.#find(owner.encryptor).encrypt(json, this.#context(owner, column)))
  }

  /** A text for a text column, encrypted if the row is. */
  sealText(text: string, owner: ContentOwner, column: Column): string {
    return owner.encryptor === null ? text : this.#find(owner.encryptor).encrypt(text, this.#context(owner, column))
  }

  openText(stored: string | null, owner: ContentOwner, column: Column): string | null {
    if (owner.encryptor === null || stored === null) return stored
    return this.#find(owner.encryptor).decrypt(stored, this.#context(owner, column))
  }

  /** The JSON of a column, decrypted if the row is encrypted. */
  open(stored: Json, owner: ContentOwner, column: Column): Json {
    if (owner.encryptor === null || stored === null) return stored
    if (typeof stored !== 'string')
      throw new DecryptionError(
        `The column ${column} of attempt ${owner.id} is not encrypted, but the row names the encryptor ${owner.encryptor}.`,
      )
    return JSON.parse(this.#find(owner.encryptor).decrypt(stored, this.#context(owner, column)))
  }

  /** An error as the row stores it. The number, duration and worker of the run are never encrypted. */
  encodeError(entry: NewError, owner: ContentOwner, thrown: unknown): NewStoredError {
    if (!isSecret(owner, thrown)) return entry
    const { number, elapsed, worker, ...record } = entry
    try {
      return { number, elapsed, worker, encrypted: JSON.parse(this.seal(JSON.stringify(record), owner, 'errors')) }
    } catch (error) {
      // The row names an unknown encryptor. That is the error to show, and it is no secret.
      return { number, elapsed, worker, ...describeError(error) }
    }
  }

  decodeError(entry: StoredError, owner: ContentOwner): AttemptError {
    if (!('encrypted' in entry)) return entry
    const { encrypted, ...plain } = entry
    return { ...plain, ...(this.open(encrypted, owner, 'errors') as unknown as ErrorRecord) }
  }

  /** An error as logs and traces may show it. */
  loggable(thrown: unknown, owner: ContentOwner): ErrorRecord {
    if (!isSecret(owner, thrown)) return describeError(thrown)
    return {
      name: 'Encrypted',
      message: 'The error is encrypted, like the arguments. Read it with attempt.errors.',
    }
  }

  #context({ id, target, method }: ContentOwner, column: Column): string {
    return `${this.#table}/${id}/${target}.${method}/${column}`
  }

  #find(name: string): Encryptor {
    const encryptor = this.#encryptors.get(name)
    if (encryptor) return encryptor
    const known = [...this.#encryptors.keys()].join(', ') || 'none'
    throw new UnknownEncryptorError(
      `No encryptor is called ${JSON.stringify(name)}. Known: ${known}. Pass it to BaseAttempt as \`encryptor\` or in \`encryptors\`.`,
    )
  }
}

/** Whether an error may contain what the row encrypts. Errors that say why a row cannot run do not. */
function isSecret({ encryptor }: ContentOwner, thrown: unknown): boolean {
  return encryptor !== null && !isInstance(thrown, DecryptionError, UnknownEncryptorError, UnknownTargetError)
}
