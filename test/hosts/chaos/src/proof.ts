import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Attempt } from './async/attempt.js'

/**
 * Connections beside those of the worker, with settings of their own: what a call has done is written down even while the worker
 * cannot reach its database.
 */
const witness = new pg.Pool({
  connectionString: process.env.WITNESS_URL,
  application_name: 'chaos witness',
  options:
    '-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed -c statement_timeout=0 -c lock_timeout=0',
  max: 3,
  allowExitOnIdle: true,
})
witness.on('error', () => {})

/** What the tests of faults call. Each call leaves one row of proof. */
export const Proof = {
  /** Takes its time, then writes its proof where it cannot be taken back: at least once. It fails only when it is aborted. */
  loose: async (milliseconds: number): Promise<void> => {
    await began('loose')
    await sleep(milliseconds)
    await write('INSERT INTO chaos_loose (attempt, run, pid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING')
    await ended()
  },
  /** Takes its time, then writes its proof in the attempt's own transaction: exactly once. */
  exact: async (milliseconds: number): Promise<void> => {
    await began('exact')
    const { attempt, tx: open } = Attempt.current()
    const tx = await open()
    await sleep(milliseconds)
    await tx.$executeRawUnsafe('INSERT INTO chaos_exact (attempt) VALUES ($1::bigint)', attempt.id)
    await ended()
  },
}

const began = (method: string) =>
  write('INSERT INTO chaos_runs (attempt, run, pid, method) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', method)

const ended = () =>
  write('UPDATE chaos_runs SET ended = clock_timestamp() WHERE attempt = $1 AND run = $2 AND pid = $3')

/** Tries until it is written, or the call is aborted. */
async function write(text: string, ...values: unknown[]): Promise<void> {
  const { attempt, run, signal } = Attempt.current()
  while (true) {
    try {
      await witness.query(text, [attempt.id, run, process.pid, ...values])
      return
    } catch {
      await sleep(200, undefined, { signal })
    }
  }
}
