import { refusesStartupOptions } from '../transient-errors.js'

/**
 * The settings that the runtime's statements depend on, whatever the database, the role or PGOPTIONS set. They are sent when a connection
 * opens, so they cost nothing later. Timeouts are off, because a statement of the runtime touches at most a thousand rows; its
 * transactions have their own (see `Database.transaction`). For such statements, a compilation takes longer than the execution. They have
 * indexes: a plan that was made while a table was small, and that a connection keeps, must not read all of it when it has grown. To start
 * the workers of a parallel plan takes some 5 ms, ten times as much as PostgreSQL assumes: only a count of millions of rows gains by it. A
 * task of the host may leave its transaction idle for ten minutes.
 */
const SETTINGS = {
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '10min',
  idle_session_timeout: '0',
  jit: 'off',
  enable_seqscan: 'off',
  parallel_setup_cost: '10000',
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  row_security: 'on',
}

/** A setting of PostgreSQL 17 and later. Earlier versions reject a connection that asks for it. */
const SINCE_17 = { transaction_timeout: '0' }

/** The startup parameter `options` of the runtime's connections: the host's settings, then those of the runtime. */
export class StartupOptions {
  /** The URL without its `options`, which pg would use in place of ours. */
  readonly url: string
  /** The options for the next connection. */
  text: string
  /** Whether the server has accepted them. */
  isNegotiated = false
  readonly #hostOptions: string[]
  #searchPath: string | undefined
  #runtimeSettings: Record<string, string> = { ...SETTINGS, ...SINCE_17 }

  constructor(given: string) {
    const { url, options } = withoutOptions(given)
    this.url = url
    this.#hostOptions = [options ?? process.env.PGOPTIONS ?? []].flat()
    // Prisma's URLs may name the schema of the tables, which pg ignores: `?schema=shop`.
    const schema = parameterOf(given, 'schema')
    if (schema && schema !== 'public') this.#searchPath = `"${schema.replaceAll('"', '""')}",public`
    this.text = this.#write()
  }

  get usesDatabaseSearchPath(): boolean {
    return this.#searchPath === undefined
  }

  addPublicTo(searchPath: string): void {
    this.#searchPath = searchPath === '' ? 'public' : `${searchPath},public`
    this.text = this.#write()
  }

  /**
   * Removes settings that were rejected: PostgreSQL 16 does not know all of them, and a pooler may accept none. They are not SET later
   * either, because behind a pooler the connection may serve another client next.
   *
   * @param requested the options of the connection that failed
   * @returns whether the next connection would have other options
   */
  adaptTo(error: unknown, requested: string): boolean {
    if (requested === this.text && refusesStartupOptions(error)) {
      this.#runtimeSettings = concernsVersion17(error) ? SETTINGS : {}
      this.text = this.#write()
    }
    return requested !== this.text
  }

  #write(): string {
    const settings = { ...this.#runtimeSettings, ...(this.#searchPath && { search_path: this.#searchPath }) }
    const ours = Object.entries(settings).map(([name, value]) => `-c ${name}=${escaped(value)}`)
    return [...this.#hostOptions, ...ours].join(' ')
  }
}

function concernsVersion17(error: unknown): boolean {
  return Object.keys(SINCE_17).some((name) => (error as Error).message.includes(`"${name}"`))
}

function withoutOptions(url: string): { url: string; options: string | undefined } {
  const options = parameterOf(url, 'options')
  return { url: url.replace(/([?&])options=[^&#]*&?/, '$1'), options }
}

/** A parameter of a connection URL. `URL` cannot parse all of them: `postgresql:///shop?host=/run/postgresql`. */
function parameterOf(url: string, name: string): string | undefined {
  const [, value] = new RegExp(`[?&]${name}=([^&#]*)`).exec(url) ?? []
  return value === undefined ? undefined : decodeURIComponent(value.replaceAll('+', ' '))
}

/** Without a backslash, a space would end the value. */
function escaped(value: string): string {
  return value.replaceAll(/[\\ ]/g, '\\$&')
}
