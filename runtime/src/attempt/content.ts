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
import type { AttemptError, NewError, NewStoredError, StoredError } from './store.js'

/** Whose content it is: what is encrypted for one row and column does not decrypt in another. */
export interface Owner {
  id: bigint
  target: string
  method: string
  /** The name of the row's encryptor; null where nothing is encrypted. */
  encryptor: string | null
}

type Column = 'args' | 'result' | 'errors'

/** Turns what a call takes and gives into what its row holds, and back; encrypted where the row names an encryptor. */
export class Content {
  readonly #table: string
  readonly #encryptors: Map<string, Encryptor>
  /** The encryptor of attempts that do not ask for one. */
  readonly default: Encryptor | undefined

  constructor(table: string, encryptor: Encryptor | undefined, others: Encryptor[] = []) {
    this.#table = table
    this.default = encryptor
    this.#encryptors = new Map()
    for (const known of encryptor ? [encryptor, ...others] : others) {
      for (const name of [known.name, ...(known.previousNames ?? [])]) this.#encryptors.set(name, known)
    }
  }

  /** What the column `encryptor` says of a new row: null where its content stays plain. */
  nameFor(encryptor: Encryptor | undefined = this.default): string | null {
    if (!encryptor || encryptor.name === 'null') return null
    this.#find(encryptor.name)
    return encryptor.name
  }

  /** JSON text for a jsonb column: the value itself, or a ciphertext as a JSON string. */
  encode(value: unknown, owner: Owner, column: Column, name: string): string {
    return this.seal(serialize(value, name), owner, column)
  }

  decode(stored: Json, owner: Owner, column: Column): unknown {
    return deserialize(this.open(stored, owner, column))
  }

  /** Encrypts JSON text, where the row is encrypted. */
  seal(json: string, owner: Owner, column: Column): string {
    if (owner.encryptor === null) return json
    return JSON.stringify(this.#find(owner.encryptor).encrypt(json, this.#context(owner, column)))
  }

  /** The JSON of a column, decrypted where the row is encrypted. */
  open(stored: Json, owner: Owner, column: Column): Json {
    if (owner.encryptor === null || stored === null) return stored
    if (typeof stored !== 'string')
      throw new DecryptionError(`The ${column} of attempt ${owner.id} are not encrypted, though its row says so.`)
    return JSON.parse(this.#find(owner.encryptor).decrypt(stored, this.#context(owner, column)))
  }

  /** An error as the row keeps it. What says nothing of the content (when, how long, which worker) stays plain. */
  encodeError(entry: NewError, owner: Owner, thrown: unknown): NewStoredError {
    if (!isSecret(owner, thrown)) return entry
    const { number, elapsed, worker, ...record } = entry
    try {
      return { number, elapsed, worker, encrypted: JSON.parse(this.seal(JSON.stringify(record), owner, 'errors')) }
    } catch (error) {
      // The row names an encryptor that is not there: that is what is wrong with it, and no secret.
      return { number, elapsed, worker, ...describeError(error) }
    }
  }

  decodeError(entry: StoredError, owner: Owner): AttemptError {
    if (!('encrypted' in entry)) return entry
    const { encrypted, ...plain } = entry
    return { ...plain, ...(this.open(encrypted, owner, 'errors') as unknown as ErrorRecord) }
  }

  /** What may be said of an error in logs and traces. */
  tellable(thrown: unknown, owner: Owner): ErrorRecord {
    if (!isSecret(owner, thrown)) return describeError(thrown)
    return {
      name: 'Encrypted',
      message: 'The error is kept secret, as the arguments are: read the errors of the attempt.',
    }
  }

  #context({ id, target, method }: Owner, column: Column): string {
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

/** Whether an error may hold what the row encrypts. Those that say why a row cannot be performed do not, and have to be read. */
function isSecret({ encryptor }: Owner, thrown: unknown): boolean {
  return encryptor !== null && !isInstance(thrown, DecryptionError, UnknownEncryptorError, UnknownTargetError)
}
