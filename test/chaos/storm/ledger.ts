import type pg from 'pg'
import type { Worker } from './fleet.js'
import { type Interruption, persist } from './scene.js'

/** What was recorded, and what came of it. */
export interface Balance {
  /** Attempts that were recorded. */
  calls: number
  /** Runs of calls that began. */
  runs: number
  /** Recorded, and neither succeeded nor ended as failed; or succeeded without its proof; or not in the table any more. */
  lost: number
  /** An effect through the attempt's transaction that happened twice or more often. */
  doubled: number
  /** An effect at least once that happened twice or more often. */
  repeated: number
  /** Attempts that ended as failed, expired or cancelled although their effect is there. */
  failedThoughRun: number
  /** Attempts that ended so, whether or not their effect is there. */
  failed: number
  /** Loose calls, which never fail by themselves, whose errors say that they did. */
  chargedErrors: { message: string; times: number }[]
}

/** @param acknowledged the ids of all rows whose insert was confirmed */
export async function balance(pool: pg.Pool, acknowledged: string[]): Promise<Balance> {
  const [row] = await persist<Omit<Balance, 'chargedErrors'>>(pool, countAll, [acknowledged])
  return { ...row!, chargedErrors: await persist(pool, findChargedErrors) }
}

/** What ran, or was left running by somebody, and has not ended: the work that an interruption is about. */
export async function interruptedCalls(pool: pg.Pool): Promise<string[]> {
  const rows = await persist<{ id: string }>(
    pool,
    `SELECT id::text FROM attempts
     WHERE status = 'running' OR (status = 'pending' AND scheduled_at <= now() AND EXISTS (SELECT FROM chaos_runs WHERE attempt = id))`,
  )
  return rows.map(({ id }) => id)
}

/** For each call, the seconds from the interruption until it ran again, or had been completed. */
export async function secondsToRecover(pool: pg.Pool, { at, calls }: Interruption): Promise<number[]> {
  const rows = await persist<{ seconds: number }>(pool, timeToRun, [calls, at])
  return rows.map(({ seconds }) => seconds)
}

/** The same for the calls that a killed worker had not completed. */
export async function secondsAfterKill(pool: pg.Pool, { pid, killedAt }: Worker): Promise<number[]> {
  const rows = await persist<{ seconds: number }>(pool, timeAfterKill, [pid, killedAt])
  return rows.map(({ seconds }) => seconds)
}

const countAll = `
  WITH exact AS (SELECT attempt, count(*) AS times FROM chaos_exact GROUP BY attempt),
  loose AS (SELECT attempt, count(*) AS times FROM chaos_loose GROUP BY attempt),
  each AS (
    SELECT id, status, CASE method WHEN 'exact' THEN exact.times ELSE loose.times END AS times, method
    FROM attempts LEFT JOIN exact ON exact.attempt = id LEFT JOIN loose ON loose.attempt = id
  )
  SELECT
    count(*)::int AS calls,
    (SELECT count(*) FROM chaos_runs)::int AS runs,
    (count(*) FILTER (WHERE status IN ('pending', 'running') OR (status = 'succeeded' AND times IS NULL))
      + (SELECT count(*) FROM unnest($1::bigint[]) AS known (id) WHERE id NOT IN (SELECT id FROM attempts)))::int AS lost,
    count(*) FILTER (WHERE method = 'exact' AND times > 1)::int AS doubled,
    count(*) FILTER (WHERE method = 'loose' AND times > 1)::int AS repeated,
    count(*) FILTER (WHERE status IN ('failed', 'expired', 'cancelled') AND times > 0)::int AS "failedThoughRun",
    count(*) FILTER (WHERE status IN ('failed', 'expired', 'cancelled'))::int AS failed
  FROM each`

const findChargedErrors = `
  SELECT error->>'name' || ': ' || (error->>'message') AS message, count(*)::int AS times
  FROM attempts, jsonb_array_elements(CASE jsonb_typeof(errors) WHEN 'array' THEN errors ELSE '[]' END) AS error
  WHERE method = 'loose' AND error->>'name' NOT IN ('WorkerDied', 'AbortError')
  GROUP BY 1 ORDER BY 2 DESC LIMIT 5`

const timeToRun = `
  SELECT greatest(0, extract(epoch FROM coalesce(min(run.began), attempt.completed_at) - $2::timestamptz))::float AS seconds
  FROM attempts AS attempt
  LEFT JOIN chaos_runs AS run ON run.attempt = attempt.id AND run.began > $2
  WHERE attempt.id = ANY ($1::bigint[])
  GROUP BY attempt.id, attempt.completed_at
  HAVING min(run.began) IS NOT NULL OR attempt.completed_at > $2`

const timeAfterKill = `
  SELECT extract(epoch FROM min(later.began) - $2::timestamptz)::float AS seconds
  FROM chaos_runs AS lost
  JOIN attempts AS attempt ON attempt.id = lost.attempt AND (completed_at IS NULL OR completed_at > $2)
  JOIN chaos_runs AS later ON later.attempt = lost.attempt AND later.began > $2
  WHERE lost.pid = $1 AND lost.began < $2
  GROUP BY lost.attempt`

/** The value below which that share of the values is; undefined of none. */
export function quantile(values: number[], share: number): number | undefined {
  return values.toSorted((a, z) => a - z)[Math.max(0, Math.ceil(values.length * share) - 1)]
}
