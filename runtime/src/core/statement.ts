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
  /** Set if a locked row is an answer for the caller: the error is thrown, and the statement is not tried again. */
  noRetryWhenLocked?: true
  /** Set if the outcome of a run depends on the statement: it is tried again for ten minutes, in place of three seconds. */
  longRetry?: true
}

/** Runs a statement and returns its rows, on the pool or in a transaction of the host's. */
export type Query = <Row>(statement: Statement, values: unknown[]) => Promise<Row[]>
