import type { Statement } from '../../core/statement.js'
import { jobSpec } from '../sql/job-spec.js'
import { claimedRow } from '../sql/runs.js'
import { isStartable } from '../sql/startable.js'

/**
 * The windows of rates are counted in so many parts, so that a row of async_limit_starts has no more entries. A start counts from the end
 * of its part: a call may wait for a thousandth of the window too long, and the rate is never exceeded.
 */
const PARTS = 1000

/**
 * The condition that a row is pending, and those of the index by priority and time: see the migration. With others, PostgreSQL could choose
 * another index, or expect so few rows that it sorts all of a key.
 */
function isPending(row: string): string {
  return `${row}.status < 'running' AND ${row}.scheduled_at >= '-infinity'`
}

/** The condition that a start counts for a window that ends now. A time further ahead was written before the clock was set back. */
function isInWindow(time: string, now: string, period: string): string {
  return `${time} > ${now} - ${period} AND ${time} <= ${now} + ${period}`
}

/** How many calls more than there are slots are looked at: other transactions may have locked some. */
const SPARE = 5

/** The next calls of a key that may start, in their order. */
function nextOfKey(table: string, key: string, limit: string): string {
  return `SELECT next.id, ${key} AS limit_key, next.priority, next.scheduled_at
          FROM "${table}_next"(${key}, ${limit}, clock_timestamp()) AS next`
}

/** Locks the candidates that no other transaction has locked, and numbers those of each key in their order. */
function unlockedCandidates(table: string): string {
  return `unlocked_candidates AS MATERIALIZED (
        SELECT attempt.ctid AS place, attempt.id FROM "${table}" AS attempt
        WHERE attempt.id = ANY (ARRAY(SELECT id FROM candidates)) AND attempt.status::text = 'pending'
          AND attempt.scheduled_at <= clock_timestamp()
        FOR NO KEY UPDATE SKIP LOCKED
      ), next AS MATERIALIZED (
        SELECT id, place, slots, row_number() OVER (PARTITION BY limit_key ORDER BY priority DESC, scheduled_at, id) AS position
        FROM candidates JOIN unlocked_candidates USING (id)
      )`
}

/** The statements that claim the calls of keys. */
export const limitStatements = (table: string) =>
  ({
    // The columns that a key is computed from.
    waiting: {
      name: `${table}:limited-rows`,
      text: `
      SELECT id, target, method, encryptor, args, limit_key
      FROM "${table}"
      WHERE id = ANY ($1::bigint[]) AND status::text = 'pending'`,
    },

    storeKeys: {
      name: `${table}:store-limit-keys`,
      text: `
      -- $1 ids, $2 keys
      UPDATE "${table}" AS attempt SET limit_key = given.limit_key
      FROM unnest($1::bigint[], $2::text[]) AS given (id, limit_key)
      WHERE attempt.id = given.id AND attempt.id IN (
        SELECT id FROM "${table}" WHERE id = ANY ($1) AND status::text = 'pending' FOR NO KEY UPDATE SKIP LOCKED
      )
      RETURNING attempt.id`,
    },

    // Only one transaction at a time claims calls of a key. It does not wait for several keys, so it takes part in no deadlock.
    tryLock: {
      name: 'async-gen:try-lock-limits',
      text: `
      -- $1 model, $2 keys
      SELECT key, pg_try_advisory_xact_lock(hashtextextended('async-gen:limit:' || $1 || ':' || key, 0)) AS acquired
      FROM unnest($2::text[]) AS key, set_config('jit', 'off', true)`,
    },

    lockSoon: {
      name: 'async-gen:limit-lock-timeout',
      text: `SELECT set_config('lock_timeout', $1, true)`,
    },

    lock: {
      name: 'async-gen:lock-limit',
      text: `
      -- $1 model, $2 key
      SELECT pg_advisory_xact_lock(hashtextextended('async-gen:limit:' || $1 || ':' || $2, 0))::text`,
    },

    // For keys without a rate and an order, in a statement of its own. It takes the locks and counts the runs in a function, and not in its own
    // snapshot, which is older than the locks. In another isolation level the function has the same snapshot, so the statement does nothing.
    claimSlots: {
      name: `${table}:claim-slots`,
      once: true,
      padded: 'with nulls',
      text: `
      -- $1 keys, $2 worker, $3 model, $4 names of the limits, $5 how many calls of each key, $6 how many may run
      WITH given AS MATERIALIZED (
        SELECT
          given.limit_key, given.wanted,
          coalesce(of_key.concurrency, of_limit.concurrency, given.concurrency) AS concurrency,
          coalesce(of_key.rate_limit, of_limit.rate_limit) IS NOT NULL AS has_rate,
          "${table}_running"(given.limit_key) AS running
        FROM unnest($1::text[], $4::text[], $5::int[], $6::int[]) AS given (limit_key, name, wanted, concurrency)
        LEFT JOIN async_limits AS of_key ON of_key.model = $3 AND of_key.limit_key = given.limit_key
        LEFT JOIN async_limits AS of_limit ON of_limit.model = $3 AND of_limit.limit_key = given.name
        WHERE given.limit_key IS NOT NULL AND current_setting('transaction_isolation') = 'read committed'
      ), candidates AS MATERIALIZED (
        SELECT next.*, greatest(0, least(given.wanted, given.concurrency - given.running)) AS slots
        FROM given CROSS JOIN LATERAL (
          ${nextOfKey(table, 'given.limit_key', `CASE WHEN given.concurrency > given.running THEN given.wanted + ${SPARE} ELSE 0 END`)}
        ) AS next
        WHERE given.running IS NOT NULL AND NOT given.has_rate
      ), ${unlockedCandidates(table)}
      , started AS (
        UPDATE "${table}" SET ${claimedRow()} 
        WHERE ctid = ANY (ARRAY(SELECT place FROM next WHERE position <= slots)) AND status::text = 'pending'
        RETURNING *
      )
      SELECT
        given.limit_key AS "limitKey", given.concurrency, given.running, NULL::int AS "rateLimit", NULL::int AS used, NULL::float8 AS "rateMs",
        false AS "isLocked", coalesce(found.count, 0) AS found, started.*
      FROM given
      LEFT JOIN (SELECT limit_key, count(*)::int FROM candidates GROUP BY limit_key) AS found USING (limit_key)
      LEFT JOIN started ON started.limit_key = given.limit_key
      WHERE given.running IS NOT NULL AND NOT given.has_rate`,
    },

    // It runs in the transaction that holds the locks, and after them: its snapshot has all runs that other claims have begun.
    claim: {
      name: `${table}:claim-limited`,
      once: true,
      text: `
      -- $1 keys as JSON, $2 worker, $3 model
      WITH clock AS MATERIALIZED (
        SELECT clock_timestamp() AS now
      ), settings AS MATERIALIZED (
        SELECT
          given."limitKey" AS limit_key, given.wanted, given."isStrict" AS is_strict, given.ids,
          coalesce(of_key.concurrency, of_limit.concurrency, given.concurrency) AS concurrency,
          coalesce(of_key.rate_limit, of_limit.rate_limit, given."rateLimit") AS rate_limit,
          CASE
            WHEN of_key.rate_limit IS NOT NULL THEN of_key.rate_ms
            WHEN of_limit.rate_limit IS NOT NULL THEN of_limit.rate_ms
            ELSE given."rateMs"
          END * interval '1 millisecond' AS period
        FROM jsonb_to_recordset($1::jsonb) AS given (
          "limitKey" text, name text, wanted int, concurrency int, "isStrict" boolean, "rateLimit" int, "rateMs" float8, ids bigint[]
        )
        LEFT JOIN async_limits AS of_key ON of_key.model = $3 AND of_key.limit_key = given."limitKey"
        LEFT JOIN async_limits AS of_limit ON of_limit.model = $3 AND of_limit.limit_key = given.name
      ), usage AS MATERIALIZED (
        SELECT
          settings.*,
          CASE WHEN concurrency IS NOT NULL THEN (
            SELECT count(*) FROM "${table}" AS attempt WHERE attempt.status = 'running' AND attempt.limit_key = settings.limit_key
          ) END AS running,
          CASE WHEN rate_limit IS NOT NULL THEN coalesce((
            SELECT sum(entry.count)
            FROM async_limit_starts AS starts, unnest(starts.times, starts.counts) AS entry (time, count)
            WHERE starts.model = $3 AND starts.limit_key = settings.limit_key
              AND ${isInWindow('entry.time', '(SELECT now FROM clock)', 'settings.period')}
          ), 0) END AS used
        FROM settings
      ), free AS MATERIALIZED (
        SELECT *, greatest(0, least(wanted, concurrency - running, rate_limit - used))::int AS slots FROM usage
      ), candidates AS MATERIALIZED (
        SELECT next.*, free.slots
        FROM free CROSS JOIN LATERAL (
          ${nextOfKey(table, 'free.limit_key', `CASE WHEN free.slots > 0 THEN free.slots + ${SPARE} ELSE 0 END`)}
        ) AS next
        WHERE NOT free.is_strict AND free.ids IS NULL
        UNION ALL
        SELECT attempt.id, attempt.limit_key, attempt.priority, attempt.scheduled_at, free.slots
        FROM free JOIN "${table}" AS attempt ON attempt.id = ANY (free.ids)
        WHERE NOT free.is_strict AND ${isStartable('attempt', '$3')}
      ), ${unlockedCandidates(table)}
      , first_in_order AS MATERIALIZED (
        SELECT
          free.limit_key, free.ids, next.id,
          bool_and(next.is_startable) OVER (PARTITION BY free.limit_key ORDER BY next.id) AS is_next
        FROM free CROSS JOIN LATERAL "${table}_first"(free.limit_key, free.slots, clock_timestamp()) AS next
        WHERE free.is_strict
      ), unlocked AS MATERIALIZED (
        -- Also those that hold the others back: a transaction that has locked one may be about to end it.
        SELECT ctid AS place, id, scheduled_at <= clock_timestamp() AS is_due FROM "${table}"
        WHERE id = ANY (ARRAY(SELECT id FROM first_in_order)) AND status::text = 'pending'
        FOR NO KEY UPDATE SKIP LOCKED
      ), in_strict_order AS (
        SELECT own.place
        FROM first_in_order AS next JOIN unlocked AS own USING (id)
        WHERE next.is_next AND (next.ids IS NULL OR next.id = ANY (next.ids))
          AND NOT EXISTS (
            SELECT FROM first_in_order AS earlier LEFT JOIN unlocked USING (id)
            WHERE earlier.limit_key = next.limit_key AND earlier.id <= next.id AND unlocked.is_due IS NOT TRUE
          )
      ), started AS (
        UPDATE "${table}" SET ${claimedRow('(SELECT now FROM clock)')}
        WHERE ctid = ANY (ARRAY(SELECT place FROM next WHERE position <= slots UNION ALL SELECT place FROM in_strict_order))
          AND status::text = 'pending'
        RETURNING *
      ), counted AS (
        INSERT INTO async_limit_starts AS starts (model, limit_key, times, counts, expires_at)
        SELECT $3, free.limit_key, ARRAY[part.time], ARRAY[part.count], part.time + free.period
        FROM free, clock, LATERAL (
          SELECT
            to_timestamp(ceil(extract(epoch FROM clock.now) * ${PARTS} / extract(epoch FROM free.period)) * extract(epoch FROM free.period) / ${PARTS})
              AS time,
            (SELECT count(*) FROM started WHERE started.limit_key = free.limit_key AND started.status = 'running')::int AS count
        ) AS part
        WHERE free.rate_limit IS NOT NULL AND part.count > 0
        ON CONFLICT (model, limit_key) DO UPDATE SET
          (times, counts) = (
            SELECT array_agg(entry.time ORDER BY entry.time), array_agg(entry.count ORDER BY entry.time)
            FROM (
              SELECT every.time, sum(every.count)::int AS count
              FROM unnest(starts.times || excluded.times, starts.counts || excluded.counts) AS every (time, count)
              WHERE ${isInWindow('every.time', 'clock_timestamp()', '(excluded.expires_at - excluded.times[1])')}
              GROUP BY every.time
            ) AS entry
          ),
          expires_at = greatest(starts.expires_at, excluded.expires_at)
      )
      SELECT
        free.limit_key AS "limitKey", free.concurrency, free.running::int, free.rate_limit AS "rateLimit", free.used::int,
        (extract(epoch FROM free.period) * 1000)::float8 AS "rateMs",
        EXISTS (
          SELECT FROM first_in_order AS next WHERE next.limit_key = free.limit_key AND next.id NOT IN (SELECT id FROM unlocked)
        ) AS "isLocked",
        NULL::int AS found, started.*
      FROM free LEFT JOIN started ON started.limit_key = free.limit_key`,
    },

    runningOf: {
      name: `${table}:running-of-limits`,
      text: `SELECT id FROM "${table}" WHERE status = 'running' AND limit_key = ANY ($1::text[]) AND locked_by = $2`,
    },

    // For keys that have free slots. A job that is locked counts as lost: its worker may have found the key full.
    wake: {
      name: `${table}:wake-limited`,
      text: `
      WITH next AS MATERIALIZED (
        SELECT head.*
        FROM unnest($2::text[]) AS given (limit_key) CROSS JOIN LATERAL (
          ${nextOfKey(table, 'given.limit_key', '1')}
        ) AS head
        WHERE NOT EXISTS (
          SELECT FROM graphile_worker.jobs WHERE key = $1 || ':' || head.id AND attempts < max_attempts AND locked_at IS NULL
        )
      )
      SELECT count(*)::int AS enqueued
      FROM (
        SELECT array_agg(${jobSpec('$1', 'without a key')} ORDER BY priority DESC, scheduled_at, id) AS jobs FROM next HAVING count(*) > 0
      ) AS page, graphile_worker.add_jobs(page.jobs)`,
    },

    // For keys whose rate is used up. One job for each key is enough: it claims a call and adds the next one.
    wakeLater: {
      name: `${table}:wake-limited-later`,
      text: `
      -- $1 task, $2 keys, $3 model, $4 limits and $5 windows in milliseconds of their rates
      WITH next AS MATERIALIZED (
        SELECT head.id, head.limit_key, head.priority, free.time AS scheduled_at
        FROM unnest($2::text[], $4::int[], $5::float8[]) AS given (limit_key, rate_limit, rate_ms)
        CROSS JOIN LATERAL (
          ${nextOfKey(table, 'given.limit_key', '1')}
        ) AS head
        CROSS JOIN LATERAL (
          SELECT min(entry.time) + given.rate_ms * interval '1 millisecond' AS time
          FROM (
            SELECT every.time, sum(every.count) OVER (ORDER BY every.time DESC) - every.count AS later
            FROM async_limit_starts AS starts, unnest(starts.times, starts.counts) AS every (time, count)
            WHERE starts.model = $3 AND starts.limit_key = given.limit_key
              AND every.time <= clock_timestamp() + given.rate_ms * interval '1 millisecond'
          ) AS entry
          WHERE entry.later < given.rate_limit
        ) AS free
      ), marked AS (
        UPDATE async_limit_starts AS starts SET wake_at = next.scheduled_at
        FROM next
        WHERE starts.model = $3 AND starts.limit_key = next.limit_key
          AND (wake_at IS NULL OR wake_at <= clock_timestamp() OR wake_at > next.scheduled_at)
        RETURNING next.*
      )
      SELECT count(*)::int AS enqueued
      FROM (
        SELECT array_agg(${jobSpec('$1', 'without a key')}) AS jobs FROM marked HAVING count(*) > 0
      ) AS page, graphile_worker.add_jobs(page.jobs)`,
    },

    // Each key with calls that are due, found by one step in the index. It repairs keys with room for a call whose next call has no job: a
    // job that somebody deleted, a claim that could not add one, a limit that SQL has raised, or that was removed from targets.ts: then its
    // calls run one after the other. Of a strict key, only the first call can be the next. LIMIT 1, because
    // PostgreSQL expects a thousand rows of each function, and (SELECT $2): see `Statement`.
    repair: {
      name: `${table}:repair-limited`,
      text: `
      -- $1 task, $2 the last key of the page before, $3 model, $4 how many keys; of each limit: $5 name, $6 concurrency, $7 whether it is strict,
      -- $8 window of its rate (ms)
      WITH RECURSIVE ${waitingKeys(table)}
      , next AS MATERIALIZED (
        SELECT head.*
        FROM keys
        LEFT JOIN unnest($5::text[], $6::int[], $7::boolean[], $8::float8[]) AS given (name, concurrency, is_strict, rate_ms)
          ON given.name = split_part(keys.limit_key, ':', 1)
        LEFT JOIN async_limits AS of_key ON of_key.model = $3 AND of_key.limit_key = keys.limit_key
        LEFT JOIN async_limits AS of_limit ON of_limit.model = $3 AND of_limit.limit_key = given.name
        CROSS JOIN LATERAL (
          SELECT count(*) FROM "${table}" AS attempt WHERE attempt.status = 'running' AND attempt.limit_key = keys.limit_key
        ) AS running
        CROSS JOIN LATERAL (
          SELECT free.* FROM (${nextOfKey(table, 'keys.limit_key', '1')}) AS free WHERE given.is_strict IS NOT TRUE
          UNION ALL
          SELECT attempt.id, attempt.limit_key, attempt.priority, attempt.scheduled_at
          FROM "${table}_first"(keys.limit_key, 1, clock_timestamp()) AS first JOIN "${table}" AS attempt USING (id)
          WHERE given.is_strict AND first.is_startable
          LIMIT 1
        ) AS head
        WHERE running.count < coalesce(of_key.concurrency, of_limit.concurrency, given.concurrency, CASE WHEN given.name IS NULL THEN 1 END, 2147483647)
          AND NOT EXISTS (
            SELECT FROM async_limit_starts AS starts
            WHERE starts.model = $3 AND starts.limit_key = keys.limit_key AND starts.wake_at > now()
              -- A later time was written before the clock was set back.
              AND starts.wake_at < now() + coalesce(of_key.rate_ms, of_limit.rate_ms, given.rate_ms) * interval '1.01 milliseconds'
          )
          AND NOT EXISTS (
            SELECT FROM graphile_worker.jobs
            WHERE key = $1 || ':' || head.id AND attempts < max_attempts AND (locked_at IS NULL OR locked_at > now() - interval '1 minute')
          )
      ), enqueued AS (
        SELECT
        FROM (
          SELECT array_agg(${jobSpec('$1')} ORDER BY priority DESC, scheduled_at, id) AS jobs FROM next HAVING count(*) > 0
        ) AS page, graphile_worker.add_jobs(page.jobs)
      )
      SELECT (SELECT count(*)::int FROM enqueued) AS enqueued, (SELECT max(limit_key) FROM keys WHERE number = $4) AS last`,
    },

    waitingKeys: {
      name: `${table}:waiting-limit-keys`,
      text: `
      -- $1 start of the keys, $2 the last key of the page before, $3 null, $4 how many keys
      WITH RECURSIVE ${waitingKeys(table)}
      SELECT
        ARRAY(SELECT limit_key FROM keys WHERE starts_with(limit_key, $1)) AS keys,
        (SELECT max(limit_key) FROM keys WHERE number = $4 AND $3::text IS NULL) AS last`,
    },

    // What is null in the row is that of targets.ts.
    set: {
      name: 'async-gen:set-limit',
      text: `
      -- $1 model, $2 limit or key, $3 whether to change the concurrency, $4 concurrency, $5 whether to change the rate, $6 limit, $7 window (ms)
      INSERT INTO async_limits AS changed (model, limit_key, concurrency, rate_limit, rate_ms)
      VALUES ($1, $2, $4::int, $6::int, $7::float8)
      ON CONFLICT (model, limit_key) DO UPDATE SET
        concurrency = CASE WHEN $3::boolean THEN excluded.concurrency ELSE changed.concurrency END,
        rate_limit = CASE WHEN $5::boolean THEN excluded.rate_limit ELSE changed.rate_limit END,
        rate_ms = CASE WHEN $5 THEN excluded.rate_ms ELSE changed.rate_ms END,
        updated_at = clock_timestamp()`,
    },

    removeEmpty: {
      name: 'async-gen:remove-empty-limits',
      text: `
      DELETE FROM async_limits
      WHERE model = $1 AND limit_key = $2 AND concurrency IS NULL AND rate_limit IS NULL`,
    },

    changed: {
      name: 'async-gen:changed-limits',
      text: `
      SELECT limit_key AS "limitKey", concurrency, rate_limit AS "rateLimit", rate_ms AS "rateMs"
      FROM async_limits
      WHERE model = $1
      ORDER BY limit_key`,
    },

    // The sums are of all keys of a limit; the rows, of those with the most waiting calls.
    usage: {
      name: `${table}:limit-usage`,
      text: `
      -- $1 model, $2 how many keys of each limit
      SELECT *
      FROM (
        SELECT
          counted.limit_key AS "limitKey",
          sum(counted.running)::int AS running,
          sum(counted.waiting)::int AS waiting,
          sum(sum(counted.running)) OVER of_limit::int AS "allRunning",
          sum(sum(counted.waiting)) OVER of_limit::int AS "allWaiting",
          row_number() OVER (
            PARTITION BY split_part(counted.limit_key, ':', 1) ORDER BY sum(counted.waiting) DESC, sum(counted.running) DESC, counted.limit_key
          )::int AS position,
          (
            SELECT to_json(starts.wake_at) #>> '{}' FROM async_limit_starts AS starts
            WHERE starts.model = $1 AND starts.limit_key = counted.limit_key AND starts.wake_at > now()
          ) AS "nextAt"
        FROM (
          SELECT limit_key, count(*) AS running, 0 AS waiting
          FROM "${table}" WHERE status = 'running' AND limit_key IS NOT NULL GROUP BY limit_key
          UNION ALL
          SELECT limit_key, 0, count(*)
          FROM "${table}" WHERE status < 'running' AND scheduled_at >= '-infinity' AND limit_key IS NOT NULL AND scheduled_at <= now() GROUP BY limit_key
        ) AS counted
        GROUP BY counted.limit_key
        WINDOW of_limit AS (PARTITION BY split_part(counted.limit_key, ':', 1))
      ) AS keys
      WHERE position <= $2
      ORDER BY position`,
    },

    prune: {
      name: 'async-gen:prune-limit-starts',
      text: `
      -- $1 model, $2 batch size
      DELETE FROM async_limit_starts WHERE (model, limit_key) IN (
        SELECT model, limit_key FROM async_limit_starts
        WHERE model = $1 AND expires_at < now() AND (wake_at IS NULL OR wake_at < now())
        LIMIT $2
        FOR UPDATE SKIP LOCKED
      )
      RETURNING limit_key`,
    },
  }) satisfies Record<string, Statement>

/** The keys that have pending calls, found by one step in the index for each: those after $2, at most $4. The last row may be null. */
function waitingKeys(table: string): string {
  return `keys AS (
        (
          SELECT limit_key, 1 AS number FROM "${table}"
          WHERE status < 'running' AND scheduled_at >= '-infinity' AND limit_key IS NOT NULL AND limit_key > (SELECT $2)
          ORDER BY limit_key LIMIT 1
        )
        UNION ALL
        SELECT (
          SELECT attempt.limit_key FROM "${table}" AS attempt
          WHERE ${isPending('attempt')} AND attempt.limit_key IS NOT NULL AND attempt.limit_key > keys.limit_key
          ORDER BY attempt.limit_key LIMIT 1
        ), number + 1
        FROM keys
        WHERE keys.limit_key IS NOT NULL AND number < $4
      )`
}
