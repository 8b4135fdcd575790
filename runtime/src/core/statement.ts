/** One SQL statement, prepared under its name on each connection. */
export interface Statement {
  name: string
  text: string
  /**
   * Set where the statement must not be sent twice: it would take effect twice, or its second answer would be a wrong one. Where its
   * connection is lost, which may have lost the answer alone, the error goes to the caller.
   */
  once?: true
  /** Set where a lock that somebody holds is an answer, and no reason to try again. */
  answersLocked?: true
  /** Set where the end of a run hangs on the statement: it is tried again for as long as the database may be away. */
  patient?: true
}

/** Runs a statement and returns its rows, on the pool or inside a transaction of the host's. */
export type Query = <Row>(statement: Statement, values: unknown[]) => Promise<Row[]>
