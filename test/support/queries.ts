import type { Database } from '@async-gen/runtime'

/** How many statements the runtime's own pool is given while something happens. */
export async function countQueries(db: Database, happen: () => Promise<void>): Promise<number> {
  const { pool } = db
  const query = pool.query
  let statements = 0
  pool.query = ((...args: never[]) => {
    statements++
    return (query as (...args: never[]) => unknown).apply(pool, args)
  }) as typeof query
  try {
    await happen()
  } finally {
    pool.query = query
  }
  return statements
}
