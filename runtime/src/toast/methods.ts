import { type ClientExtension, extendClient } from '../core/prisma/client.js'
import type { ReadOptions } from './toast.js'

/** A toast as far as it can be called. */
// biome-ignore lint/suspicious/noExplicitAny: the toasts of each model have parents and results of their own
type Readable = (parent: any, options?: ReadOptions) => Promise<unknown>

/** Toasts by model and name: `{ oat: { breakfast } }`. */
type Methods = Record<string, Record<string, Readable>>

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
 * A client extension that makes toasts methods of rows, and of models: `prisma.$extends(toastMethods({ oat: { breakfast } }))`.
 * The form on models knows in which transaction it is called. Rows that were read with `select` have no such methods: that is
 * Prisma's way.
 */
export function toastMethods<const M extends Methods>(methods: M): ClientExtension<RowMethods<M>, ModelMethods<M>> {
  return extendClient(
    methods as Methods,
    (toast, record) => (options?: ReadOptions) => toast(record, options),
    (toast, tx) => (parent: object, options?: ReadOptions) => toast(parent, tx ? { ...options, tx } : options),
  )
}
