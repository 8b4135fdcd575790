import { AesGcmEncryptor, BaseAttempt } from '@async-gen/runtime'
import { db } from './database.js'

/** Only attempts that name it are encrypted. */
export const encryptor = new AesGcmEncryptor({ first: Buffer.alloc(32, 7).toString('base64') })

export class Attempt extends BaseAttempt(db, {
  model: 'Attempt',
  table: 'attempts',
  targets: () => import('./targets.js'),
  encryptors: [encryptor],
}) {}
