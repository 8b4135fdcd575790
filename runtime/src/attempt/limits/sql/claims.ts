import type { Statement } from '../../../core/statement.js'
import { claimedRow } from '../../sql/runs.js'
import { isStartable } from '../../sql/startable.js'
import { nextOfKey } from './keys.js'

/**
 * The windows of rates are counted in so many parts, so that a row of async_limit_starts has no more entries. A start counts from the end
 * of its part: a call may wait for a thousandth of the window too long, and the rate is never exceeded.
 */
const PARTS = 1000

/** How many calls more than there are slots are looked at: other transactions may have locked some. */
const SPARE = 5

/** The statements that claim the calls of keys. */
export const claimStatements = (table: string) =>
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
  }) satisfies Record<string, Statement>

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

/** The condition that a start counts for a window that ends now. A time further ahead was written before the clock was set back. */
function isInWindow(time: string, now: string, period: string): string {
  return `${time} > ${now} - ${period} AND ${time} <= ${now} + ${period}`
}
