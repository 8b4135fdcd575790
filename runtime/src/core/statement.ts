/**
 * An SQL statement, prepared under its name on each connection. One with three or more parameters names them in a comment.
 *
 * While a plan for the given values looks cheaper to PostgreSQL than its one plan for all values, it plans a prepared statement each time.
 * That takes longer than to run most of them. So a limit is a literal where it can be, and `(SELECT $1)` hides a value that decides how many
 * rows PostgreSQL expects. The one plan must then be good for all values.
 */
export interface Statement {
  name: string
  text: string
  /**
   * Set if the statement must not be sent twice, because it would take effect twice or its second answer would be wrong. After a lost
   * connection, when only the answer may have been lost, the error is thrown to the caller.
   */
  once?: true
  /**
   * Set if the text or the best plan depends on the values. The statement is not prepared: PostgreSQL plans it each time, with its values.
   * After five executions of a prepared statement, it may use one plan for all values.
   */
  planned?: 'each time'
  /** How its short lists are padded. Set if that does not change the answer: see `padLists`. */
  padded?: ListPadding
  /** Set if a locked row is an answer for the caller: the error is thrown, and the statement is not tried again. */
  noRetryWhenLocked?: true
  /** Set if the outcome of a run depends on the statement: it is tried again for ten minutes, in place of three seconds. */
  longRetry?: true
}

/** Runs a statement and returns its rows, on the pool or in a transaction of the host's. */
export type Query = <Row>(statement: Statement, values: unknown[]) => Promise<Row[]>

/** With nulls, or with the first item again. To PostgreSQL, nulls do not make `= ANY (list)` longer, but they do `unnest(list)`. */
export type ListPadding = 'with nulls' | 'with the first item'

/** PostgreSQL assumes that a list of unknown length has 10 items. */
const LONGER_THAN_ASSUMED = 11

/**
 * Pads short lists. Otherwise a plan for the given short list looks cheaper to PostgreSQL than its one plan for all lists: see `Statement`.
 */
export function padLists(values: unknown[], padding: ListPadding): unknown[] {
  return values.map((value) => {
    if (!Array.isArray(value) || value.length >= LONGER_THAN_ASSUMED) return value
    const fill = padding === 'with nulls' ? null : value[0]
    return Object.assign(new Array(LONGER_THAN_ASSUMED).fill(fill), value)
  })
}
