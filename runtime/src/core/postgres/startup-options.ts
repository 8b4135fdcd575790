import { refusesStartupOptions } from '../transient-errors.js'

/**
 * What the runtime's statements depend on, whatever the database, the role or PGOPTIONS have set: it is sent when a connection opens, and
 * so it costs nothing later. Limits of time are off, as a statement of the runtime's touches a thousand rows at most; its transactions
 * have limits of their own (see `Database.transaction`). A task of the host's may leave a transaction of its own open for ten minutes.
 */
const SETTINGS = {
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '10min',
  idle_session_timeout: '0',
  TimeZone: 'UTC',
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  row_security: 'on',
}

/** PostgreSQL 17 and later know it; earlier ones refuse a connection that asks for it. */
const SINCE_17 = { transaction_timeout: '0' }

/** The startup parameter `options` of the runtime's connections: what the host asks for, then what the runtime depends on. */
export class StartupOptions {
  /** The URL without its `options`: pg would take these in place of ours. */
  readonly url: string
  /** What a connection that opens now asks for. */
  text: string
  /** Whether a connection has been opened with them. */
  isSettled = false
  readonly #hosts: string[]
  #searchPath: string | undefined
  #ours: Record<string, string> = { ...SETTINGS, ...SINCE_17 }

  constructor(given: string) {
    const { url, options } = withoutOptions(given)
    this.url = url
    this.#hosts = [options ?? process.env.PGOPTIONS ?? []].flat()
    // Prisma's URLs may name the schema that the tables are in, of which pg knows nothing: `?schema=shop`.
    const schema = parameterOf(given, 'schema')
    if (schema && schema !== 'public') this.#searchPath = `"${schema.replaceAll('"', '""')}",public`
    this.text = this.#write()
  }

  get hasDatabasesSearchPath(): boolean {
    return this.#searchPath === undefined
  }

  addPublicTo(searchPath: string): void {
    this.#searchPath = searchPath === '' ? 'public' : `${searchPath},public`
    this.text = this.#write()
  }

  /**
   * Asks for less from now on, where that is why a connection failed: PostgreSQL 16 does not know all settings, and a pooler may take none.
   * On such a connection nothing is SET later either: behind a pooler it may be another client's a moment later.
   *
   * @param asked what the connection that failed asked for
   * @returns whether another one would ask for something else
   */
  changeAfter(error: unknown, asked: string): boolean {
    if (asked === this.text && refusesStartupOptions(error)) {
      this.#ours = isOf17(error) ? SETTINGS : {}
      this.text = this.#write()
    }
    return asked !== this.text
  }

  #write(): string {
    const settings = { ...this.#ours, ...(this.#searchPath && { search_path: this.#searchPath }) }
    const ours = Object.entries(settings).map(([name, value]) => `-c ${name}=${escaped(value)}`)
    return [...this.#hosts, ...ours].join(' ')
  }
}

function isOf17(error: unknown): boolean {
  return Object.keys(SINCE_17).some((name) => (error as Error).message.includes(`"${name}"`))
}

function withoutOptions(url: string): { url: string; options: string | undefined } {
  const options = parameterOf(url, 'options')
  return { url: url.replace(/([?&])options=[^&#]*&?/, '$1'), options }
}

/** A parameter of a connection URL, which need not be one that `URL` can read: `postgresql:///shop?host=/run/postgresql`. */
function parameterOf(url: string, name: string): string | undefined {
  const [, value] = new RegExp(`[?&]${name}=([^&#]*)`).exec(url) ?? []
  return value === undefined ? undefined : decodeURIComponent(value.replaceAll('+', ' '))
}

/** A backslash keeps a space from ending the value. */
function escaped(value: string): string {
  return value.replaceAll(/[\\ ]/g, '\\$&')
}
