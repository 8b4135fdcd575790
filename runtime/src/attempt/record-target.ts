import { AsyncGenError, PermanentError } from '../core/errors.js'

// biome-ignore lint/suspicious/noExplicitAny: any argument list is allowed; the compiler checks it where a call is recorded
export type Callable = (...args: any[]) => unknown

export type Methods = Record<string, Callable>

/** The records of a model as a target: a loader, and methods that take the record first. */
export class RecordTarget<Record, Id, M extends Methods> {
  readonly load: (id: Id) => Promise<Record | null>
  readonly methods: M

  constructor({ load, methods }: { load: (id: Id) => Promise<Record | null>; methods: M }) {
    this.load = load
    this.methods = methods
  }

  /** One record, to be called later: `Attempt.async(Orders.for(order)).fulfill()`. It is read again when the call is made. */
  for(record: { id: Id }): TargetRecord<this> {
    if (record?.id === undefined || record.id === null) {
      throw new AsyncGenError(
        'NOT_PERSISTED',
        'Record must be persisted before a call of it can be recorded: it has no id.',
      )
    }
    return new TargetRecord(this, record.id)
  }

  /** The method as it is called from a row: with the id in place of the record. */
  loadingFirst(name: string, method: Callable): Callable {
    return async (id: Id, ...args: unknown[]) => {
      const record = await this.load(id)
      if (!record)
        throw new PermanentError(`${name} ${String(id)} is gone: it was deleted after the call was recorded.`)
      return await method(record, ...args)
    }
  }
}

/** One record of a target. */
export class TargetRecord<T> {
  readonly target: T
  readonly id: unknown

  constructor(target: T, id: unknown) {
    this.target = target
    this.id = id
  }
}

/**
 * Makes the records of a model a target: list what it returns in `defineTargets`.
 *
 *     export const Orders = recordTarget({
 *       load: (id: number) => prisma.order.findUnique({ where: { id } }),
 *       methods: { fulfill: async (order, carrier: string) => { … } },
 *     })
 */
export function recordTarget<
  Record,
  Id,
  M extends { [name: string]: (record: Record, ...args: never[]) => unknown },
>(definition: { load: (id: Id) => Promise<Record | null>; methods: M }): RecordTarget<Record, Id, M> {
  return new RecordTarget(definition)
}
