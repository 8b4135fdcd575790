import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

type Pool = Database['pool']
type ConnectCallback = Parameters<Pool['connect']>[0]
type Client = NonNullable<Parameters<ConnectCallback>[1]>

/** How long a statement of Graphile Worker is tried again, in milliseconds. Then the runner ends. */
const RETRY_TIMEOUT = 30_000

/** The first and the longest pause between two tries, in milliseconds. */
const PAUSE = { first: 50, longest: 2000 }

/** What a poll for jobs is answered if there can be none. */
const NO_JOBS = { rows: [], rowCount: 0 }

export interface GraphilePoolOptions {
  /** How often each slot of the worker polls for jobs, in milliseconds. */
  pollInterval: number
  /** Graphile Worker gets no connection before this resolves. */
  announced: () => Promise<void>
  /** Called for each error after which a statement is tried again. */
  onRetry: (error: Error) => void
}

/**
 * The pool that Graphile Worker gets in place of the runtime's. Graphile Worker's batches hang for ever after two statements that complete
 * jobs have failed, so its own statements are tried again here, and it gets an error only after 30 seconds. All of them are idempotent:
 * they fetch, complete, fail or return jobs of one pool. Statements of the host's tasks (`helpers.query`) are passed through.
 *
 * Each free slot of Graphile Worker polls by itself. If a poll has just found no jobs, and neither a notification nor another statement of
 * Graphile Worker has come since, the polls of the other slots are answered here. So an idle worker with 10 slots sends the polls of one.
 *
 * Graphile Worker fetches its first jobs as soon as it has created its worker pool. If the process died before the id of that pool is
 * recorded, its jobs would stay locked. So it gets connections only after the id is recorded.
 */
export class GraphilePool {
  /** For Graphile Worker's option `pgPool`. */
  readonly pool: Pool
  readonly #target: Pool
  readonly #announced: () => Promise<void>
  readonly #onRetry: (error: Error) => void
  /** The connections that Graphile Worker uses for LISTEN. */
  readonly #listening = new Set<Client>()
  readonly #pollInterval: number
  #waiting = 0
  #isClosed = false
  /** When the last poll that found no jobs was sent. Forgotten when something may have added or unlocked a job. */
  #emptySince: number | undefined
  /** Whether the poll that runs finds no jobs. */
  #polling: Promise<boolean> | undefined
  /** Counts what may have added or unlocked a job. */
  #changes = 0

  constructor(target: Pool, { announced, onRetry, pollInterval }: GraphilePoolOptions) {
    this.#target = target
    this.#pollInterval = pollInterval
    this.#announced = announced
    this.#onRetry = onRetry
    this.pool = withMethods(target, {
      connect: (callback?: ConnectCallback) => (callback ? this.#connectWithCallback(callback) : this.#connect()),
      query: (...args: QueryArguments) =>
        isGraphileStatement(args)
          ? this.#answerUnlessClosed(this.#sendWithRetries(() => target.query(args[0])).finally(() => this.#changed()))
          : target.query(...args),
    })
  }

  /** How many connections and statements Graphile Worker waits for now. */
  get waiting(): number {
    return this.#waiting
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** From now on Graphile Worker gets no answers, so that an abandoned runner takes no job and logs no error. */
  close(): void {
    this.#isClosed = true
    for (const client of this.#listening) client.release(true)
  }

  /** For LISTEN, which Graphile Worker retries itself. It ignores a returned promise, so a rejection would have no handler. */
  #connectWithCallback(callback: ConnectCallback): void {
    const connected: ConnectCallback = (error, client) => {
      const wrapped = client && this.#wrap(client)
      if (this.#isClosed) return wrapped?.release(true)
      if (wrapped) {
        this.#listening.add(wrapped)
        // Before Graphile Worker's own listener, which lets slots poll.
        wrapped.on('notification', () => this.#changed())
        this.#changed()
      }
      callback(error, wrapped, (destroy) => wrapped?.release(destroy))
    }
    this.#announced().then(
      () => this.#isClosed || this.#target.connect(connected),
      (error) => this.#isClosed || callback(error, undefined, () => {}),
    )
  }

  async #connect(): Promise<Client> {
    const connecting = this.#sendWithRetries(async () => {
      await this.#announced()
      return await this.#target.connect()
    })
    return this.#wrap(await this.#answerUnlessClosed(connecting, (client) => client?.release()))
  }

  /** Wraps a connection: Graphile Worker's statements are tried again, and a second release does nothing. */
  #wrap(client: Client): Client {
    let isReleased = false
    const wrapped: Client = withMethods(client, {
      query: (...args: QueryArguments) =>
        isGraphileStatement(args) ? this.#answer(wrapped, client, args[0]) : client.query(...args),
      release: (destroy?: boolean | Error) => {
        this.#listening.delete(wrapped)
        if (!isReleased) client.release(destroy)
        isReleased = true
      },
    })
    return wrapped
  }

  async #answer(wrapped: Client, client: Client, query: Statement): Promise<unknown> {
    if (!isPoll(query)) return await this.#queryOn(wrapped, client, query).finally(() => this.#changed())
    const sentAt = performance.now()
    // Without LISTEN, a job that was just added would wait for the next poll.
    if (this.#listening.size > 0 && this.#emptySince !== undefined) {
      if (sentAt - this.#emptySince < this.#pollInterval / 2) return NO_JOBS
      if (await this.#polling) return NO_JOBS
    }
    const changes = this.#changes
    const answer = this.#queryOn(wrapped, client, query)
    const polling = answer
      .then(
        ({ rows }) => {
          const isEmpty = rows.length === 0 && changes === this.#changes
          this.#emptySince = isEmpty ? sentAt : undefined
          return isEmpty
        },
        () => false,
      )
      .finally(() => {
        if (this.#polling === polling) this.#polling = undefined
      })
    this.#polling = polling
    return await answer
  }

  /** A job may have been added or unlocked. */
  #changed(): void {
    this.#changes++
    this.#emptySince = undefined
  }

  #queryOn(wrapped: Client, client: Client, query: Statement): Promise<{ rows: unknown[] }> {
    let send = () => client.query(query)
    const answer = this.#sendWithRetries(async () => {
      try {
        return await send()
      } catch (error) {
        // This connection may be broken. It is released first, so that a retry does not hold two connections of the pool.
        wrapped.release(true)
        send = () => this.#target.query(query)
        throw error
      }
    })
    return this.#answerUnlessClosed(answer, () => wrapped.release(true))
  }

  /** Returns an answer, or never resolves if the pool was closed meanwhile. Then `drop` releases the connection in the answer. */
  async #answerUnlessClosed<Result>(
    answer: Promise<Result>,
    drop: (result?: Result) => void = () => {},
  ): Promise<Result> {
    const outcome = await answer.then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    )
    if (this.#isClosed) {
      drop('result' in outcome ? outcome.result : undefined)
      return await new Promise<never>(() => {})
    }
    if ('error' in outcome) throw outcome.error
    return outcome.result
  }

  async #sendWithRetries<Result>(send: () => Promise<Result>): Promise<Result> {
    const deadline = performance.now() + RETRY_TIMEOUT
    this.#waiting++
    try {
      for (let pause = PAUSE.first; ; pause = Math.min(2 * pause, PAUSE.longest)) {
        try {
          return await send()
        } catch (error) {
          if (this.#isClosed || isPermanent(error) || performance.now() + pause > deadline) throw error
          this.#onRetry(error as Error)
          await sleep(pause, undefined, { ref: false })
        }
      }
    } finally {
      this.#waiting--
    }
  }
}

// biome-ignore lint/suspicious/noExplicitAny: pg overloads query; only the forms that Graphile Worker calls are repeated here
type QueryArguments = [query: any, ...rest: any[]]

/** Whether a statement manages jobs: tasks of the host do not use Graphile Worker's private tables. */
function isGraphileStatement([query, values]: QueryArguments): boolean {
  const text: unknown = typeof query === 'string' ? query : query?.text
  return typeof text === 'string' && values === undefined && text.includes('._private_')
}

/** Whether a statement fetches one job for one slot. Graphile Worker names it `get_job/<schema>`, with letters for its options. */
function isPoll({ name }: Statement): boolean {
  return /^get_job[A-Z]*\//.test(name)
}

/** Errors that a retry cannot fix, by SQLSTATE class: missing features, invalid data, constraints, syntax and missing rights. */
function isPermanent(error: unknown): boolean {
  return /^(?:0A|22|23|42)/.test(String((error as { code?: unknown } | null)?.code ?? ''))
}

/** A proxy of an object with some methods replaced. */
function withMethods<Target extends object>(target: Target, methods: object): Target {
  return new Proxy(target, {
    get(_, property) {
      if (Object.hasOwn(methods, property)) return Reflect.get(methods, property)
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
