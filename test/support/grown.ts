import { BaseAttempt, connect, type Database, defineTargets, defineToast, pruneToasts, sweep } from '@async-gen/runtime'
import { asyncEvents, signedId } from '@async-gen/runtime/events'
import { query } from './postgres.js'

/**
 * The rows that the operations look for: as many in each table, whatever its size. They are the oldest, so that a walk from the newest is
 * long. Ten are due; the others are not due before an hour has passed.
 */
const WANTED = `
  INSERT INTO attempts (type, target, method, args, status, num_attempts, idempotence_token, scheduled_at, started_at, completed_at, errors)
  SELECT
    CASE WHEN i % 2 = 0 THEN 'UrgentAttempt' END, 'OrderClient', 'fulfill', '[1]', status::attempt_status, 1,
    'order-' || status || i, now() + i * interval '1 hour', now(),
    CASE WHEN status <> 'pending' THEN now() - interval '1 minute' END,
    '[{"number": 1, "name": "Error", "code": "ECONNREFUSED", "message": "connect ECONNREFUSED"}]'
  FROM unnest('{pending,failed,expired,cancelled}'::text[]) AS status, generate_series(1, 100) AS i;
  INSERT INTO attempts (target, method, parent_id) SELECT 'OrderClient', 'fulfill', 1 FROM generate_series(1, 10);
  INSERT INTO attempts (target, method, parent_id, status, completed_at)
  SELECT 'Bulk0', 'method0', 2, 'succeeded', now() - interval '3 years' FROM generate_series(1, 5000)`

/** Finished rows that match none of them: calls of ten other methods, with tokens, parents, types and errors here and there. */
const FINISHED = `
  INSERT INTO attempts (type, target, method, args, status, num_attempts, idempotence_token, parent_id, scheduled_at, started_at, completed_at, created_at, result)
  SELECT
    CASE WHEN i % 10 = 1 THEN 'OtherAttempt' END, 'Bulk' || i % 5, 'method' || i % 10, '[1, 2]', 'succeeded', 1,
    CASE WHEN i % 4 = 0 THEN 'token-' || i END, CASE WHEN i % 10 = 2 THEN 3 + i / 10000 END,
    at, at, at + interval '1 second', at, '{"sum": 3}'
  FROM generate_series(1, $1) AS i, LATERAL (SELECT now() - interval '2 days' - i * interval '1 second' AS at) AS time`

const TOASTS = `
  INSERT INTO toasts (name, key, value, version, value_epoch, cached_at, elapsed, expires_in, expires_at)
  SELECT 'oat.breakfast', to_jsonb(i)::text, '{"oat": "meal"}', '1', 0, now(), 0.1, 86400000, now() + interval '1 day'
  FROM generate_series(1, $1) AS i`

const REPORTS = `
  INSERT INTO reports (type, key, args) SELECT 'MonthlySales', 'key-' || i, '{}' FROM generate_series(1, $1) AS i`

/**
 * Some pages that VACUUM has not seen: PostgreSQL takes a table that has none for cheaper to read. If it got its first such page between two
 * plans of a statement, these would not compare.
 */
const NEWEST = `
  INSERT INTO attempts (target, method, status, num_attempts, scheduled_at, started_at, completed_at, created_at)
  SELECT 'Bulk0', 'method0', 'succeeded', 1, at, at, at, at
  FROM generate_series(1, 100) AS i, LATERAL (SELECT now() - interval '1 hour' - i * interval '1 second' AS at) AS time`

/** Fills the tables of a migrated database with a few rows of each kind, and so many finished attempts, toasts and reports. */
export async function grow(url: string, finished: number) {
  for (const table of ['attempts', 'toasts', 'reports']) await query(url, `ALTER TABLE ${table} DISABLE TRIGGER ALL`)
  await query(url, WANTED)
  await query(url, FINISHED, [finished])
  await query(url, TOASTS, [finished])
  await query(url, REPORTS, [finished])
  for (const table of ['attempts', 'toasts', 'reports']) {
    await query(url, `ALTER TABLE ${table} ENABLE TRIGGER ALL`)
    await query(url, `VACUUM (ANALYZE) ${table}`)
  }
  await query(url, NEWEST)
}

/** What an application and its worker do on these tables, by what it is called. */
export function operations(db: Database) {
  const OrderClient = { fulfill: async (order: number) => order }
  const subclasses: Record<string, object> = {}
  const targets = defineTargets(() => ({ OrderClient }), { subclasses })
  class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
  class UrgentAttempt extends Attempt {}
  Object.assign(subclasses, { UrgentAttempt })
  const breakfast = defineBreakfast(db)
  const parent = async () => (await Attempt.find(1))!
  const oats = Array.from({ length: 20 }, (_, i) => ({ id: i + 1, updatedAt: new Date(0) }))
  const retention = { succeeded: false as const, ended: 30 * 86_400_000 }
  const bulk = { dryRun: true }
  return {
    find: () => Attempt.find(1),
    'find of a subclass': () => UrgentAttempt.find(2),
    children: async () => (await parent()).children(),
    'where parent of many rows': async () => Attempt.where({ parent: (await Attempt.find(2))! }),
    'where {}': () => Attempt.where({}),
    'where of a subclass': () => UrgentAttempt.where({}),
    'where status of a subclass': () => UrgentAttempt.failed(),
    'where status and target of a subclass': () => UrgentAttempt.where({ status: 'failed', target: 'OrderClient' }),
    'where pending': () => Attempt.pending(),
    'where running': () => Attempt.running(),
    'where succeeded': () => Attempt.succeeded(),
    'where failed': () => Attempt.failed(),
    'where failed, target': () => Attempt.failed({ target: 'OrderClient' }),
    'where failed, target, method': () => Attempt.failed({ target: 'OrderClient', method: 'fulfill' }),
    'where several statuses': () => Attempt.where({ status: ['failed', 'cancelled'] }),
    'where target': () => Attempt.where({ target: 'OrderClient' }),
    'where target of many rows': () => Attempt.where({ target: 'Bulk1' }),
    'where unknown target': () => Attempt.where({ target: 'Unknown' }),
    'where method': () => Attempt.where({ method: 'fulfill' }),
    'where target, method': () => Attempt.where({ target: 'OrderClient', method: 'fulfill' }),
    'where token': () => Attempt.where({ idempotenceToken: 'order-failed7' }),
    'where unknown token': () => Attempt.where({ idempotenceToken: 'unknown' }),
    'where target, token': () => Attempt.where({ target: 'OrderClient', idempotenceToken: 'order-failed7' }),
    'where target, method, token': () =>
      Attempt.where({ target: 'OrderClient', method: 'fulfill', idempotenceToken: 'order-failed7' }),
    'where failed, error': () => Attempt.failed({ error: 'econnrefused' }),
    'where error': () => Attempt.where({ error: 'econnrefused' }),
    'where error, method': () => Attempt.where({ error: 'econnrefused', method: 'fulfill' }),
    'where createdAfter': () => Attempt.where({ createdAfter: '1 day' }),
    'where failed, createdBefore': () => Attempt.failed({ createdBefore: new Date(Date.now() + 60_000) }),
    'where endedAfter': () => Attempt.where({ endedAfter: '1 day' }),
    'where parent, status': async () => Attempt.where({ parent: await parent(), status: 'pending' }),
    'count pending': () => Attempt.count({ status: 'pending' }),
    'count failed': () => Attempt.count({ status: 'failed' }),
    'count target': () => Attempt.count({ target: 'OrderClient' }),
    'count method': () => Attempt.count({ method: 'fulfill' }),
    'count failed, error': () => Attempt.count({ status: 'failed', error: 'econnrefused' }),
    'count createdAfter': () => Attempt.count({ createdAfter: '1 day' }),
    'count of a subclass': () => UrgentAttempt.count(),
    'retryAll, dry run': () => Attempt.retryAll({ target: 'OrderClient', error: 'ECONNREFUSED' }, bulk),
    'cancelAll, dry run': () => Attempt.cancelAll({ method: 'fulfill' }, bulk),
    'retryAll of none': () => Attempt.retryAll({ error: 'no such error' }),
    'cancelAll of none': () => Attempt.cancelAll({ target: 'Unknown' }),
    'record with a known token': () =>
      Attempt.create({ target: OrderClient, method: 'fulfill', args: [1], idempotenceToken: 'order-failed7' }),
    'record and perform': async () => (await Attempt.async(OrderClient).fulfill(1)).perform(),
    sweep: () => sweep(db),
    statistics: () => Attempt.store.statistics(),
    retention: () => Attempt.store.prune(retention),
    'retention of succeeded rows': () => Attempt.store.prune({ succeeded: 3650 * 86_400_000, ended: false }),
    'read a toast': () => breakfast.peek({ id: 7, updatedAt: new Date(0) }),
    'read many toasts': () => breakfast.many(oats),
    'prune toasts': async () => {
      // One that has pruned before goes on with the next page, and the last page of a small table is short.
      const restarted = connect(db.prisma, { pool: db.pool })
      defineBreakfast(restarted)
      await pruneToasts(restarted)
    },
    'follow attempts and toasts': async () => {
      const attempts = await Attempt.where({}, { limit: 150 })
      const options = { secret: 'x'.repeat(32) }
      const ids = [
        ...attempts.map((attempt) => signedId(attempt, options)),
        ...oats.map((oat) => signedId(breakfast, oat, options)),
      ]
      const handler = asyncEvents(db, { ...options, attempts: [Attempt], authorize: () => true })
      const responses = await Promise.all(ids.map((id) => handler(new Request(`http://localhost/?id=${id}`))))
      await Promise.all(responses.map(readFirstEvent))
    },
  } satisfies Record<string, () => Promise<unknown>>
}

function defineBreakfast(db: Database) {
  return defineToast(db, 'oat.breakfast', {
    load: async () => ({ id: 1, updatedAt: new Date(1) }),
    compute: () => ({ oat: 'meal' }),
    expireIn: '1 day',
  })
}

async function readFirstEvent({ body }: Response): Promise<void> {
  const reader = body!.getReader()
  // The first chunk tells how soon to connect again.
  await reader.read()
  await reader.read()
  await reader.cancel()
}
