import { type ClientExtension, extendClient } from '../core/prisma/client.js'
import type { ReadOptions } from './types.js'

/** The call signature of a toast. */
// biome-ignore lint/suspicious/noExplicitAny: each toast has its own types of parent and result
type ReadToast = (parent: any, options?: ReadOptions) => Promise<unknown>

/** Toasts by model and name: `{ oat: { breakfast } }`. */
type Methods = Record<string, Record<string, ReadToast>>

/** `await oat.breakfast({ wait: '1s' })` */
type RowMethods<M extends Methods> = {
  [Model in keyof M]: { [Name in keyof M[Model]]: (options?: ReadOptions) => ReturnType<M[Model][Name]> }
}

/** `await tx.oat.breakfast(oat)` */
type ModelMethods<M extends Methods> = {
  [Model in keyof M]: {
    [Name in keyof M[Model]]: (
      parent: Parameters<M[Model][Name]>[0],
      options?: Omit<ReadOptions, 'tx'>,
    ) => ReturnType<M[Model][Name]>
  }
}

/**
 * A client extension that adds toasts as methods to rows and models: `prisma.$extends(toastMethods({ oat: { breakfast } }))`. A method of a
 * model that is called on a transaction (`tx.oat.breakfast(oat)`) runs in it. Prisma does not add methods to rows that were read with
 * `select`.
 */
export function toastMethods<const M extends Methods>(methods: M): ClientExtension<RowMethods<M>, ModelMethods<M>> {
  return extendClient(
    methods as Methods,
    (toast, record) => (options?: ReadOptions) => toast(record, options),
    (toast, tx) => (parent: object, options?: ReadOptions) => toast(parent, tx ? { ...options, tx } : options),
  )
}
