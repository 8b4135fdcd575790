import type { Database } from '../core/database.js'
import { type Duration, milliseconds } from '../core/duration.js'
import { AsyncGenError } from '../core/errors.js'
import { warnOfForgottenTransaction } from '../core/prisma/open-transactions.js'
import { MAX_BYTES } from '../core/serialize.js'
import { idOf, type KeyFields, toastKeyOf } from './key.js'
import { readOrCompute, refreshToast } from './refresh.js'
import type { DefinitionOrigin, PreparedComputation, ToastComputation } from './registered-toast.js'
import { nameWithVersion, type ToastRegistry, toastsOf } from './registry.js'
import { notReady, refuseReservedKey, resultOf, type ToastResult } from './result.js'
import { OutdatedParents, requireStalenessRule, type StalenessRule, versionOf } from './staleness.js'
import type { RefreshRequest, ToastId, ToastRow } from './store.js'
import type { ReadOptions, Toast, ToastOptions } from './types.js'

/** What a definition needs beside the options that the host gives. */
export interface DefinitionSettings {
  load: (id: never) => Promise<unknown>
  /** The fields of the parent's key. */
  fields: KeyFields
  /** The fields of the model that are of type Int or BigInt. */
  wholeNumbers?: ReadonlySet<string>
  /** The Graphile Worker task that refreshes the rows. */
  task: string
  origin: DefinitionOrigin
  /** Which of these keys have a parent; the toasts of the others are pruned. */
  existingKeys?: ((keys: string[]) => Promise<Set<string>>) | undefined
}

type Options<Parent, Result, Placeholder, Loaded> = Omit<
  ToastOptions<Parent, Result, Placeholder, Loaded, never>,
  'load'
> &
  DefinitionSettings

/** One toast of this process: it reads rows, decides whether they are stale, and requests refreshes. */
export class ToastDefinition<Parent, Result, Placeholder, Loaded> {
  readonly #db: Database
  /** The name without the version of the code, for messages. */
  readonly #baseName: string
  /** The name in the rows. */
  readonly #name: string
  readonly #options: Options<Parent, Result, Placeholder, Loaded>
  readonly #staleness: StalenessRule<Parent>
  readonly #registry: ToastRegistry
  readonly #outdated = new OutdatedParents()

  /** @throws AsyncGenError INVALID_TOAST, INVALID_DURATION */
  constructor(db: Database, baseName: string, options: Options<Parent, Result, Placeholder, Loaded>) {
    refuseInvalid(baseName, options)
    this.#db = db
    this.#baseName = baseName
    this.#name = nameWithVersion(baseName, options.version)
    this.#options = options
    this.#staleness = {
      expireIn: parsed(options.expireIn, `expireIn of ${baseName}`),
      expireIf: options.expireIf,
      maxStale: parsed(options.maxStale, `maxStale of ${baseName}`),
    }
    this.#registry = toastsOf(db)
  }

  /** Tells the worker of this process how to compute the toast. */
  register(): this {
    const { origin, maxBytes = MAX_BYTES, existingKeys } = this.#options
    this.#registry.register({
      ...origin,
      name: this.#name,
      baseName: this.#baseName,
      maxBytes,
      existingKeys,
      prepare: ({ key }) => this.#prepare(key),
    })
    return this
  }

  /** The function that the host calls, with its methods. */
  toFunction(): Toast<Parent, Result, Placeholder, Loaded> {
    return Object.assign((parent: Parent, options?: ReadOptions) => this.#read(parent, options), {
      toastName: this.#name,
      keyOf: (parent: Parent) => this.#keyOf(parent),
      compute: async (parent: Loaded, computation: ToastComputation = detachedComputation()) =>
        await this.#options.compute(parent, computation),
      many: (parents: readonly Parent[], options?: ReadOptions) =>
        Promise.all(parents.map((parent) => this.#read(parent, options))),
      fresh: (parent: Parent) => this.#fresh(parent),
      peek: (parent: Parent) => this.#peek(parent),
      isStale: (parent: Parent) => this.#isStale(parent),
      expire: (parent: Parent, options?: Pick<ReadOptions, 'tx'>) => this.#expire(parent, options),
    })
  }

  async #prepare(key: string): Promise<PreparedComputation | null> {
    const { load, compute, fields } = this.#options
    const parent = await load(idOf(key, fields) as never)
    if (parent === null || parent === undefined) {
      if (this.#db.transactionOfTest) await this.#requireGone(key)
      return null
    }
    return {
      version: versionOf(parent),
      compute: async (computation) => {
        const value = await compute(parent as Loaded, computation)
        refuseReservedKey(this.#baseName, value)
        return value
      },
    }
  }

  /**
   * In a test, `load` may use another connection than the transaction of the test, which created the parent. Without `existingKeys`, nobody
   * knows whether it did, and a value that never arrives would not be explained.
   * @throws AsyncGenError OUTSIDE_ROLLBACK
   */
  async #requireGone(key: string): Promise<void> {
    const { existingKeys } = this.#options
    if (existingKeys && !(await existingKeys([key])).has(key)) return
    throw new AsyncGenError(
      'OUTSIDE_ROLLBACK',
      `\`load\` of the toast ${this.#baseName} does not find the record ${key}, ` +
        `which the transaction of inRollback() ${existingKeys ? 'has' : 'may have'} created: ` +
        'it reads with the PrismaClient, which does not see that transaction. Test this toast without inRollback(), with testDatabase().' +
        (existingKeys ? '' : ' If the record is gone, have `existingKeys` of the toast say so.'),
    )
  }

  async #read(parent: Parent, { wait, tx }: ReadOptions = {}): Promise<ToastResult<Result, Placeholder>> {
    const timeout = wait === undefined ? undefined : milliseconds(wait, 'wait')
    const { store, inline } = this.#registry
    let row = await store.read(this.#idOf(parent), tx)
    // `await` of a value that is no promise would delay most reads by a tick.
    const cached = this.#resultOf(row, parent)
    let result = cached instanceof Promise ? await cached : cached
    if (result && !result.toastr.stale) return result
    const request = this.#requestOf(parent)
    if (needsRequest(row, request.version)) await store.request(request, row?.run ?? 0, tx)
    if (inline && !tx) {
      await refreshToast(this.#db, request)
      row = await store.read(request)
      result = await this.#resultOf(row, parent)
    }
    if (result) return result
    return timeout === undefined ? this.#placeholderOf(row) : this.#waitFor(parent, row, performance.now() + timeout)
  }

  /** Waits for the first value. A failure ends the wait, because the next try comes later than a reader would wait. */
  async #waitFor(
    parent: Parent,
    firstRow: ToastRow | undefined,
    deadline: number,
  ): Promise<ToastResult<Result, Placeholder>> {
    let row = firstRow
    for (let pause = 10; ; pause = Math.min(pause * 1.5, 250)) {
      const result = await this.#resultOf(row, parent)
      if (result) return result
      const left = deadline - performance.now()
      if (left <= 0 || failuresOf(row) > failuresOf(firstRow)) return this.#placeholderOf(row)
      row = await this.#registry.readAfter(this.#idOf(parent), Math.min(pause, left))
    }
  }

  async #fresh(parent: Parent): Promise<ToastResult<Result, never>> {
    const isFresh = async (row: ToastRow) => (await this.#resultOf(row, parent))?.toastr.stale === false
    const row = await readOrCompute(this.#db, this.#requestOf(parent), isFresh, 'later')
    const result = await this.#resultOf(row, parent)
    // A value that was just computed is returned even if it is older than `maxStale`: the parent may have changed during the computation.
    return result ?? (await this.#resultOf(row, parent, { ...this.#staleness, maxStale: undefined }))!
  }

  async #peek(parent: Parent): Promise<ToastResult<Result, Placeholder>> {
    const row = await this.#registry.store.read(this.#idOf(parent))
    return (await this.#resultOf(row, parent)) ?? this.#placeholderOf(row)
  }

  async #isStale(parent: Parent): Promise<boolean> {
    const row = await this.#registry.store.read(this.#idOf(parent))
    return (await this.#resultOf(row, parent))?.toastr.stale ?? true
  }

  async #expire(parent: Parent, { tx }: Pick<ReadOptions, 'tx'> = {}): Promise<void> {
    if (!tx && this.#db.isTransactionOpen()) {
      warnOfForgottenTransaction(`The toast ${this.#baseName} was expired`, this.#db.transactionOfTest !== undefined)
    }
    await this.#registry.store.expire(this.#requestOf(parent), tx)
  }

  #keyOf(parent: Parent): string {
    const { fields, wholeNumbers } = this.#options
    return toastKeyOf(this.#baseName, parent, fields, wholeNumbers)
  }

  #idOf(parent: Parent): ToastId {
    return { name: this.#name, key: this.#keyOf(parent) }
  }

  #requestOf(parent: Parent): RefreshRequest {
    return { ...this.#idOf(parent), task: this.#options.task, version: versionOf(parent) }
  }

  #placeholderOf(row: ToastRow | undefined): Placeholder {
    return (this.#options.placeholder ?? notReady(row)) as Placeholder
  }

  #resultOf(row: ToastRow | undefined, parent: Parent, rule = this.#staleness) {
    requireStalenessRule(this.#baseName, parent, rule)
    const isOutdated = (version: string, seen: ToastRow) => this.#outdated.isKnown(this.#keyOf(parent), version, seen)
    return resultOf<Result, Parent>(this.#baseName, row, parent, rule, isOutdated)
  }
}

function refuseInvalid(name: string, { compute, expireIf }: { compute?: unknown; expireIf?: unknown }): void {
  if (typeof compute !== 'function') {
    throw new AsyncGenError('INVALID_TOAST', `The toast ${name} needs a function \`compute\`: the slow method.`)
  }
  if (expireIf !== undefined && typeof expireIf !== 'function') {
    throw new AsyncGenError('INVALID_TOAST', `expireIf of ${name} must be a function. It is ${typeof expireIf}.`)
  }
}

function parsed(duration: Duration | undefined, option: string): number | undefined {
  return duration === undefined ? undefined : milliseconds(duration, option)
}

/** Whether to send a request. The statement checks the same again, with the present state of the row. */
function needsRequest(row: ToastRow | undefined, version: string | null): boolean {
  if (!row?.refresh?.requested) return true
  const { locked_by, invalidated_again, wanted_version } = row.refresh
  // A refresh that has not begun will see all changes until it begins.
  if (locked_by === null) return false
  return invalidated_again || (version !== null && (wanted_version ?? '') < version)
}

function failuresOf(row: ToastRow | undefined): number {
  return row?.refresh?.failures ?? 0
}

/** For a computation that the host calls itself: it is never aborted, and its progress is not stored. */
function detachedComputation(): ToastComputation {
  return { signal: new AbortController().signal, progress: () => {} }
}
