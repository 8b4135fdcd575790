/** An SQL statement, prepared under its name on each connection. One with three or more parameters names them in a comment. */
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
  /** Set if a null in its lists matches nothing. Short lists are padded with nulls: see `padLists`. */
  padded?: 'lists'
  /** Set if a locked row is an answer for the caller: the error is thrown, and the statement is not tried again. */
  noRetryWhenLocked?: true
  /** Set if the outcome of a run depends on the statement: it is tried again for ten minutes, in place of three seconds. */
  longRetry?: true
}

/** Runs a statement and returns its rows, on the pool or in a transaction of the host's. */
export type Query = <Row>(statement: Statement, values: unknown[]) => Promise<Row[]>

/** PostgreSQL assumes that a list of unknown length has 10 items. */
const LONGER_THAN_ASSUMED = 11

/**
 * Pads short lists with nulls. Otherwise a plan for the given short list looks cheaper to PostgreSQL than its one plan for all lists, and
 * it plans the prepared statement each time, which takes longer than to run it.
 */
export function padLists(values: unknown[]): unknown[] {
  return values.map((value) =>
    Array.isArray(value) && value.length < LONGER_THAN_ASSUMED
      ? Object.assign(new Array(LONGER_THAN_ASSUMED).fill(null), value)
      : value,
  )
}
