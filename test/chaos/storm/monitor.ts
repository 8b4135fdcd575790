import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { type Fleet, readiness, type Worker } from './fleet.js'

/** How many looks in a row, a second apart, a worker may say that it is ready, with work due and free slots, and take none. */
const PATIENT_LOOKS = 15

/** Looks once a second whether each worker that says it is ready takes work. Returns what it has found when it is stopped. */
export function watchReadiness(fleet: Fleet, pool: pg.Pool): () => Promise<string[]> {
  const stop = new AbortController()
  const found: string[] = []
  const watching = watch(fleet, pool, found, stop.signal)
  return async () => {
    stop.abort()
    await watching
    return found
  }
}

async function watch(fleet: Fleet, pool: pg.Pool, found: string[], stop: AbortSignal): Promise<void> {
  const idle = new Map<Worker, { looks: number; runs: number }>()
  while (!stop.aborted) {
    const workers = fleet.running
    const statuses = await Promise.all(workers.map((worker) => readiness(worker)))
    const work = await lookAtWork(pool).catch(() => undefined)
    for (const [i, worker] of workers.entries()) {
      const runs = work?.runs.get(worker.pid) ?? 0
      const before = idle.get(worker)
      const busy = !work || work.due === 0 || work.running.has(worker.pid) || runs !== before?.runs
      const looks = busy || statuses[i] !== 200 ? 0 : before.looks + 1
      idle.set(worker, { looks, runs })
      if (looks === PATIENT_LOOKS) {
        found.push(
          `readiness: worker ${worker.pid} answered 200 to ${looks} looks in a row, while ${work!.due} jobs were due and it took none`,
        )
      }
    }
    await sleep(1000, undefined, { signal: stop }).catch(() => {})
  }
}

interface Work {
  /** Jobs that any worker may take. */
  due: number
  /** How many calls each process has begun. */
  runs: Map<number, number>
  /** The processes that have one running. */
  running: Set<number>
}

async function lookAtWork(pool: pg.Pool): Promise<Work> {
  const [{ rows: jobs }, { rows }] = await Promise.all([
    pool.query({ text: countDue, query_timeout: 2000 } as pg.QueryConfig),
    pool.query({ text: countRuns, query_timeout: 2000 } as pg.QueryConfig),
  ])
  return {
    due: jobs[0].due,
    runs: new Map(rows.map(({ pid, runs }) => [pid, runs])),
    running: new Set(rows.filter(({ running }) => running).map(({ pid }) => pid)),
  }
}

const countDue = `
  SELECT count(*)::int AS due FROM graphile_worker.jobs
  WHERE locked_at IS NULL AND run_at <= now() AND attempts < max_attempts`

const countRuns = `
  SELECT pid, count(*)::int AS runs, bool_or(ended IS NULL) AS running FROM chaos_runs GROUP BY pid`
