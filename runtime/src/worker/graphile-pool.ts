import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

type Pool = Database['pool']
type ConnectCallback = Parameters<Pool['connect']>[0]
type Client = NonNullable<Parameters<ConnectCallback>[1]>

/** For how long a statement of Graphile Worker's is tried again, in milliseconds. Then the runner is given up. */
const RETRY_FOR = 30_000

/** Pauses between two tries, in milliseconds: the first, and the longest. */
const PAUSE = { first: 50, longest: 2000 }

export interface GraphilePoolOptions {
  /** No connection is lent before it resolves. */
  announced: () => Promise<void>
  /** Called for each error that leads to another try. */
  onRetry: (error: Error) => void
}

/**
 * What Graphile Worker gets in place of our pool. Graphile Worker's batches wait for ever once two statements that complete jobs have
 * failed, so its own statements are tried again here, and it only sees an error after half a minute. Each of them can be repeated: they fetch,
 * complete, fail or return jobs of one pool. Statements of the host's tasks (`helpers.query`) pass through.
 *
 * Graphile Worker fetches its first jobs as soon as it has made its pool. If we died with jobs of a pool that nobody knows, they would
 * stay locked. So connections are lent only once the pool's id is recorded.
 */
export class GraphilePool {
  /** To be given to Graphile Worker as its `pgPool`. */
  readonly pool: Pool
  readonly #target: Pool
  readonly #announced: () => Promise<void>
  readonly #onRetry: (error: Error) => void
  /** The connections that wait for notifications. */
  readonly #listening = new Set<Client>()
  #waiting = 0
  #isClosed = false

  constructor(target: Pool, { announced, onRetry }: GraphilePoolOptions) {
    this.#target = target
    this.#announced = announced
    this.#onRetry = onRetry
    this.pool = withMethods(target, {
      connect: (callback?: ConnectCallback) => (callback ? this.#connectWithCallback(callback) : this.#connect()),
      query: (...args: QueryArguments) =>
        isGraphiles(args) ? this.#unlessClosed(this.#persist(() => target.query(args[0]))) : target.query(...args),
    })
  }

  /** How many connections and statements Graphile Worker waits for at this moment. */
  get waiting(): number {
    return this.#waiting
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** From now on Graphile Worker is never answered, so that a runner that was given up takes no job and logs no error. */
  close(): void {
    this.#isClosed = true
    for (const client of this.#listening) client.release(true)
  }

  /** For LISTEN. Graphile Worker tries again by itself; a promise that rejects would have no handler. */
  #connectWithCallback(callback: ConnectCallback): void {
    const connected: ConnectCallback = (error, client) => {
      const lent = client && this.#lend(client)
      if (this.#isClosed) return lent?.release(true)
      if (lent) this.#listening.add(lent)
      callback(error, lent, (destroy) => lent?.release(destroy))
    }
    this.#announced().then(
      () => this.#isClosed || this.#target.connect(connected),
      (error) => this.#isClosed || callback(error, undefined, () => {}),
    )
  }

  async #connect(): Promise<Client> {
    const connecting = this.#persist(async () => {
      await this.#announced()
      return await this.#target.connect()
    })
    return this.#lend(await this.#unlessClosed(connecting, (client) => client?.release()))
  }

  /** The same connection, with Graphile Worker's statements tried again. It can be released twice. */
  #lend(client: Client): Client {
    let isReleased = false
    const lent: Client = withMethods(client, {
      query: (...args: QueryArguments) =>
        isGraphiles(args) ? this.#queryOn(lent, client, args[0]) : client.query(...args),
      release: (destroy?: boolean | Error) => {
        this.#listening.delete(lent)
        if (!isReleased) client.release(destroy)
        isReleased = true
      },
    })
    return lent
  }

  #queryOn(lent: Client, client: Client, query: Statement): Promise<unknown> {
    let send = () => client.query(query)
    const answer = this.#persist(async () => {
      try {
        return await send()
      } catch (error) {
        // The next try takes a connection of the pool: this one may be broken, and two held by each would be too many.
        lent.release(true)
        send = () => this.#target.query(query)
        throw error
      }
    })
    return this.#unlessClosed(answer, () => lent.release(true))
  }

  /** Passes an answer on. Once the pool is closed there is none, and `drop` releases what the answer holds. */
  async #unlessClosed<Result>(answer: Promise<Result>, drop: (result?: Result) => void = () => {}): Promise<Result> {
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

  async #persist<Result>(send: () => Promise<Result>): Promise<Result> {
    const deadline = performance.now() + RETRY_FOR
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

/** Whether a statement manages jobs: Graphile Worker's own tables are private, so no task of the host's touches them. */
function isGraphiles([query, values]: QueryArguments): boolean {
  const text: unknown = typeof query === 'string' ? query : query?.text
  return typeof text === 'string' && values === undefined && text.includes('._private_')
}

/** Errors that the next try would meet again: syntax and missing rights, data, constraints, features that are not there. */
function isPermanent(error: unknown): boolean {
  return /^(?:0A|22|23|42)/.test(String((error as { code?: unknown } | null)?.code ?? ''))
}

/** An object that differs from another one in some methods. */
function withMethods<Target extends object>(target: Target, methods: object): Target {
  return new Proxy(target, {
    get(_, property) {
      if (Object.hasOwn(methods, property)) return Reflect.get(methods, property)
      const value = Reflect.get(target, property, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
