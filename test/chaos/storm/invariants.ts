import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { type Fleet, lastLine, readiness, reasonOf, type Worker } from './fleet.js'
import { persist, type Scene } from './scene.js'

/** How long nothing may happen at all before what is left counts as stuck, in milliseconds. */
const STUCK = 60_000

/** Waits until every attempt has ended, for as long as there is progress, or a retry is still to come. Returns what is stuck. */
export async function untilAllEnded(pool: pg.Pool): Promise<string[]> {
  let before = ''
  for (let since = performance.now(); ; await sleep(250)) {
    const [row] = await persist<{ open: number; later: number; seen: string }>(pool, lookForProgress)
    if (row!.open === 0) return []
    if (row!.seen !== before || row!.later === row!.open) since = performance.now()
    before = row!.seen
    if (performance.now() - since > STUCK) return await describeStuck(pool, row!.open)
  }
}

/** Records calls until every worker that says it is ready has taken one. Returns those that do not. */
export async function untilEachTakesWork({ fleet, record }: Scene, pool: pg.Pool): Promise<string[]> {
  const begun = async () => new Map((await persist(pool, countBegun)).map(({ pid, runs }) => [pid, runs]))
  const before = await begun()
  for (const end = performance.now() + STUCK; ; ) {
    const ready: Worker[] = []
    for (const worker of fleet.running) if ((await readiness(worker)) === 200) ready.push(worker)
    const now = await begun()
    const idle = ready.filter(({ pid }) => now.get(pid) === before.get(pid))
    if (idle.length === 0) return []
    if (performance.now() > end) {
      return idle.map(({ pid }) => `readiness: worker ${pid} answers 200, and took none of the calls of a minute`)
    }
    const calls = await record(120, { milliseconds: 100 })
    await waitFor(5000, async () => (await persist(pool, countOpen, [calls]))[0]!.open === 0)
  }
}

/** What must be true of the tables once all work is done. Returns what is not, after a minute. */
export async function untilTablesAreClean(pool: pg.Pool, fleet: Fleet): Promise<string[]> {
  let broken: string[] = []
  await waitFor(STUCK, async () => {
    broken = await lookAtTables(pool, fleet)
    return broken.length === 0
  })
  return broken
}

/** Every process that ended by itself says why in its last line. */
export function reasonsAreGiven(fleet: Fleet): string[] {
  return fleet.workers
    .filter((worker) => worker.state === 'ended' && reasonOf(worker) === undefined)
    .map((worker) => `reason: worker ${worker.pid} ended with ${worker.exitCode}, its last line: ${lastLine(worker)}`)
}

/** Tells all to stop. Each ends within its limit, in order. */
export async function stopsInTime(fleet: Fleet): Promise<string[]> {
  fleet.release()
  const workers = fleet.running
  const late = await fleet.stop(...workers)
  return [
    ...late.map(({ pid }) => `stop: worker ${pid} ran on for a minute after SIGTERM`),
    ...workers
      .filter((worker) => !late.includes(worker) && worker.exitCode !== 0)
      .map((worker) => `stop: worker ${worker.pid} ended with ${worker.exitCode}: ${lastLine(worker)}`),
  ]
}

async function lookAtTables(pool: pg.Pool, fleet: Fleet): Promise<string[]> {
  const pids = fleet.running.map(({ pid }) => pid)
  type Counts = Record<'orphaned' | 'usedUp' | 'jobs' | 'dead' | 'alive', number>
  const [row] = await persist<Counts>(pool, lookAtJobs, [pids])
  const { orphaned, usedUp, jobs, dead, alive } = row!
  return [
    ...(orphaned > 0 ? [`locks: ${orphaned} jobs are locked by a pool that is not alive`] : []),
    ...(usedUp > 0 ? [`jobs: ${usedUp} jobs without a key have used up their attempts`] : []),
    ...(jobs > 0 ? [`jobs: ${jobs} jobs are there whose work is done`] : []),
    ...(dead > 0 ? [`async_workers: ${dead} rows of workers that are not alive`] : []),
    ...(alive !== pids.length ? [`async_workers: ${alive} rows with a pool, and ${pids.length} processes`] : []),
  ]
}

async function describeStuck(pool: pg.Pool, open: number): Promise<string[]> {
  const rows = await persist(pool, describeOpen)
  return [`stuck: ${open} attempts, and nothing has happened for a minute: ${JSON.stringify(rows)}`]
}

async function waitFor(limit: number, ask: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + limit; performance.now() < end && !(await ask()); ) await sleep(200)
}

const lookForProgress = `
  SELECT
    count(*) FILTER (WHERE status IN ('pending', 'running'))::int AS open,
    count(*) FILTER (WHERE status = 'pending' AND scheduled_at > now())::int AS later,
    concat_ws(' ', count(*) FILTER (WHERE status = 'succeeded'), sum(num_attempts), (SELECT count(*) FROM chaos_runs),
      (SELECT count(ended) FROM chaos_runs)) AS seen
  FROM attempts`

const describeOpen = `
  SELECT attempt.id::int, status, num_attempts AS runs, attempt.locked_by AS worker,
    job.attempts AS tries, job.locked_by AS pool,
    job.locked_by IS NOT NULL AND job.locked_by NOT IN (SELECT pool_id FROM async_workers WHERE pool_id IS NOT NULL) AS "poolUnknown"
  FROM attempts AS attempt LEFT JOIN graphile_worker.jobs AS job ON job.key = 'attempt:' || attempt.id
  WHERE status IN ('pending', 'running') ORDER BY attempt.id LIMIT 3`

const countBegun = 'SELECT pid, count(*)::int AS runs FROM chaos_runs GROUP BY pid'

const countOpen = `
  SELECT count(*)::int AS open FROM attempts WHERE id = ANY ($1::bigint[]) AND status IN ('pending', 'running')`

// Only workers run in these databases, each a process of this machine: a row of another process is one of the dead. Rows may stay
// for a while once they say when their worker ended.
const lookAtJobs = `
  WITH open AS (SELECT pid, pool_id FROM async_workers AS worker WHERE to_jsonb(worker)->>'ended_at' IS NULL),
  alive AS (SELECT pool_id FROM open WHERE pid = ANY ($1::int[]) AND pool_id IS NOT NULL)
  SELECT
    count(*) FILTER (WHERE locked_by IS NOT NULL AND locked_by NOT IN (SELECT pool_id FROM alive))::int AS orphaned,
    count(*) FILTER (WHERE key IS NULL AND attempts >= max_attempts)::int AS "usedUp",
    count(*) FILTER (WHERE locked_by IS NULL AND attempts < max_attempts AND task_identifier <> 'sweep')::int AS jobs,
    (SELECT count(*) FROM open WHERE pid <> ALL ($1::int[]))::int AS dead,
    (SELECT count(*) FROM alive)::int AS alive
  FROM graphile_worker.jobs`
