import type { Database } from '../core/database.js'
import type { RunWorkerOptions } from './settings.js'

/**
 * Runs a worker until SIGTERM or SIGINT. First it installs or updates the Graphile Worker schema. After the signal, running jobs may take
 * `stopTimeout` to end. Then they are aborted. If they still run five seconds later, they are released for other workers and the process
 * exits with 1. A second signal aborts them at once.
 *
 * A worker that loses its session with PostgreSQL aborts its running jobs, which other workers then run, and connects again.
 *
 * It logs a line for each operation: for people on a terminal, as JSON elsewhere.
 *
 * @throws AsyncGenError INVALID_SETTING, INVALID_CRONTAB, INVALID_SCHEDULE, NO_TASKS, DEFINED_TWICE, NO_JOBS, NO_ROWS, NO_SESSION, HEALTH_NOT_SERVED,
 * NOT_MIGRATED; GRAPHILE_FAILED after repeated failures of Graphile Worker
 */
export async function runWorker(db: Database, options: RunWorkerOptions): Promise<void> {
  // Graphile Worker takes as long to load as everything else. A process that only records calls and reads toasts does not need it.
  const { runLoadedWorker } = await import('./worker.js')
  await runLoadedWorker(db, options)
}
