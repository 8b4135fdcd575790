import type { BoundDatabase, Database } from '../core/database.js'
import { refuseUnknownOptions } from '../core/known-options.js'
import type { ModelOf, PrismaClientLike, RecordOf } from '../core/prisma/client.js'
import { ToastDefinition } from './definition.js'
import { type KeyFields, toastKeyOf, valuesOf } from './key.js'
import type { DefinitionOrigin } from './registered-toast.js'
import { callerOf } from './registry.js'
import type { ToastPlaceholder } from './result.js'
import type { CachedToast } from './staleness.js'
import type { ComputeOptions, Toast, ToastOptions } from './types.js'

const OPTIONS = ['load', 'compute', 'expireIn', 'expireIf', 'placeholder', 'maxStale', 'version', 'maxBytes']

/** The argument of `load`: the value of the key, or the fields of a composite key. A bigint key may arrive as a number. */
export type IdOf<Parent, Fields> = Fields extends keyof Parent
  ? Parent[Fields] extends bigint
    ? number | bigint
    : Parent[Fields]
  : Fields extends readonly (infer Field)[]
    ? { [K in Field & keyof Parent]: IdOf<Parent, K> }
    : never

type FieldOf<Parent> = keyof Parent & string

type KeyFieldsOf<Fields> = Fields extends readonly (infer Field)[] ? Field : Fields

/** The parent that a toast is read with. Its key and `updatedAt` are enough, unless there is an `expireIf`, which gets the whole record. */
type RowOf<Parent, Fields, Stale> = [Stale] extends [never]
  ? Pick<Parent, (KeyFieldsOf<Fields> | 'updatedAt') & keyof Parent>
  : Parent

/**
 * Caches a slow method of a model. The first read returns a placeholder. Later reads return the cached value at once, while a worker
 * refreshes it if it is stale.
 *
 * @param model the model's property on the PrismaClient: `oat` for `prisma.oat`
 * @param name the method's name; the values are stored under `<model>.<name>`
 * @throws AsyncGenError UNKNOWN_OPTION, UNKNOWN_MODEL, INVALID_TOAST, INVALID_DURATION
 */
export function hasToast<
  Client extends PrismaClientLike,
  Model extends ModelOf<Client>,
  Result,
  Placeholder = ToastPlaceholder,
  Loaded = RecordOf<Client, Model>,
  const Fields extends FieldOf<RecordOf<Client, Model>> | readonly FieldOf<RecordOf<Client, Model>>[] = 'id' &
    FieldOf<RecordOf<Client, Model>>,
  Stale extends boolean | Promise<boolean> = never,
>(
  db: BoundDatabase<Client>,
  model: Model,
  name: string,
  options: ComputeOptions<Result, Placeholder, Loaded, IdOf<RecordOf<Client, Model>, Fields>> & {
    /** The value is stale if this returns true, or resolves with it. `parent` is the record that the toast is read with. */
    expireIf?: (toast: CachedToast<RecordOf<Client, Model>>, parent: RecordOf<Client, Model>) => Stale
    /** The fields of the model's key, where it is not `id`: `'slug'`, or `['aisle', 'level']`. */
    id?: Fields
  },
): Toast<RowOf<RecordOf<Client, Model>, Fields, Stale>, Result, Placeholder, Loaded> {
  refuseUnknownOptions(`The toast ${model}.${name}`, options, [...OPTIONS, 'id'])
  db.requireModel(model)
  const { id: fields = 'id' as KeyFields, ...rest } = options
  const definition = new ToastDefinition(db, `${model}.${name}`, {
    ...(rest as ToastOptions<RowOf<RecordOf<Client, Model>, Fields, Stale>, Result, Placeholder, Loaded>),
    load: options.load ?? ((id: unknown) => db.findRecord(model, fieldsOf(id, fields)) as Promise<Loaded | null>),
    fields,
    wholeNumbers: wholeNumbersOf(db, model),
    existingKeys: async (keys) => {
      const records = await db.existing(
        model,
        keys.map((key) => valuesOf(key, fields)),
      )
      return new Set(records.map((record) => toastKeyOf(name, record, fields)))
    },
    task: 'refresh_toast',
    origin: { place: callerOf(hasToast), code: String(options.compute) },
  })
  return definition.register().toFunction()
}

function wholeNumbersOf(db: Database, property: string): ReadonlySet<string> {
  const names = [property, property.charAt(0).toUpperCase() + property.slice(1)]
  const fields = names.flatMap((name) => db.fieldsOf(name)).filter(({ type }) => type === 'Int' || type === 'BigInt')
  return new Set(fields.map(({ name }) => name))
}

function fieldsOf(id: unknown, fields: KeyFields): object {
  return typeof fields === 'string' ? { [fields]: id } : (id as object)
}

/**
 * Caches a slow method of any parent that has an `id` and can be loaded by it. For Prisma models, use `hasToast`.
 *
 * @param name the name under which the values are stored
 * @param task the Graphile Worker task that refreshes it
 * @param origin where it is defined. Default: where this function is called
 * @throws AsyncGenError UNKNOWN_OPTION, INVALID_TOAST, INVALID_DURATION
 */
export function defineToast<Parent, Result, Placeholder = ToastPlaceholder, Loaded = Parent>(
  db: Database,
  name: string,
  options: ToastOptions<Parent, Result, Placeholder, Loaded> & {
    load: (id: never) => Promise<Loaded | null>
    /** Which of these keys have a parent; the toasts of the others are pruned. */
    existingKeys?: (keys: string[]) => Promise<Set<string>>
  },
  task = 'refresh_toast',
  origin: DefinitionOrigin = { place: callerOf(defineToast), code: String(options.compute) },
): Toast<Parent, Result, Placeholder, Loaded> {
  refuseUnknownOptions(`The toast ${name}`, options, [...OPTIONS, 'existingKeys'])
  return new ToastDefinition(db, name, { ...options, fields: 'id', task, origin }).register().toFunction()
}
