import { query } from '../support/postgres.js'

// Rows as a shop has them after a day, for pictures and tests. All of them are written by SQL, so that no worker has to run.

const ENDED = `
  INSERT INTO attempts (target, method, args, status, num_attempts, idempotence_token, scheduled_at, started_at, completed_at, created_at, result, errors)
  SELECT
    call.target, call.method,
    CASE call.method
      WHEN 'fulfill' THEN jsonb_build_array(jsonb_build_object('orderNumber', 7355000 + i, 'customerToken', 'cus_' || md5(i::text)))
      ELSE jsonb_build_array(i)
    END,
    (CASE WHEN i % 29 = 0 THEN 'failed' WHEN i % 211 = 0 THEN 'cancelled' WHEN i % 307 = 0 THEN 'expired' ELSE 'succeeded' END)::attempt_status,
    CASE WHEN i % 29 = 0 THEN 25 ELSE 1 + (i % 17 = 0)::int END,
    CASE WHEN call.method = 'fulfill' THEN 'order-' || i END,
    at - took - interval '1 second', at - took, at, at - took - interval '2 seconds',
    CASE WHEN i % 29 <> 0 THEN jsonb_build_object('ok', true) END,
    CASE WHEN i % 29 = 0 THEN jsonb_build_array(jsonb_build_object(
      'number', 25, 'at', to_json(at), 'elapsed', extract(epoch FROM took), 'worker', 1, 'name', error.name, 'code', error.code, 'message', error.message,
      'stack', error.name || ': ' || error.message || E'\\n    at OrderClient.fulfill (/app/src/order-client.ts:42:11)\\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)',
      'cause', jsonb_build_object('name', 'Error', 'message', 'socket hang up', 'stack', E'Error: socket hang up\\n    at Socket.socketOnEnd (node:_http_client:524:23)')
    )) ELSE '[]' END
  FROM generate_series(1, $1::int) AS i,
    LATERAL (SELECT (ARRAY['OrderClient', 'OrderClient', 'Newsletter', 'Warehouse'])[1 + i % 4] AS target, (ARRAY['fulfill', 'fulfill', 'deliverAll', 'restock'])[1 + i % 4] AS method) AS call,
    LATERAL (SELECT now() - (power(i::float8 / $1, 1.6) * 86400 + abs(sin(i)) * 5) * interval '1 second' AS at) AS ended,
    LATERAL (SELECT (0.05 + abs(sin(i * 1.7)) * CASE WHEN i % 19 = 0 THEN 9 ELSE 0.8 END) * interval '1 second' AS took) AS run,
    LATERAL (SELECT * FROM (VALUES
      (0, 'TimeoutError', 'TIMEOUT', 'The run took longer than its limit of 30 s.'),
      (1, 'FetchError', 'ECONNREFUSED', 'connect ECONNREFUSED 10.0.3.' || i % 200 || ':443'),
      (2, 'WarehouseError', NULL, 'Article ' || i || ' is not in stock')
    ) AS error (kind, name, code, message) WHERE kind = i / 29 % 3) AS error`

const OPEN = `
  INSERT INTO attempts (target, method, args, scheduled_at, num_attempts, errors, created_at, parent_id)
  SELECT
    (ARRAY['OrderClient', 'Newsletter', 'Warehouse'])[1 + i % 3], (ARRAY['fulfill', 'deliverAll', 'restock'])[1 + i % 3],
    jsonb_build_array(jsonb_build_object('orderNumber', 7355608 + i)), now() + (i - 12) * interval '7 seconds', (i % 5 = 0)::int,
    CASE WHEN i % 5 = 0 THEN '[{"number": 1, "at": "2026-11-26T08:00:00Z", "elapsed": 0.2, "worker": 1, "name": "FetchError", "code": "ECONNRESET", "message": "read ECONNRESET"}]'::jsonb ELSE '[]' END,
    now() - interval '3 minutes', NULL
  FROM generate_series(1, 30) AS i;
  INSERT INTO attempts (target, method, args, status, num_attempts, started_at, scheduled_at, locked_by, progress, progress_message, created_at)
  SELECT
    'Newsletter', 'deliverAll', '[{"issue": "November", "recipients": 12400}]', 'running', 1, now() - i * interval '11 seconds', now() - interval '1 minute',
    i, i * 0.21, 'page ' || i * 21 || ' of 100', now() - interval '2 minutes'
  FROM generate_series(1, 4) AS i`

const TOASTS = `
  INSERT INTO toasts (name, key, value, version, value_epoch, cached_at, elapsed, failures, error, refresh_at, locked_by, progress)
  SELECT
    (ARRAY['oat.breakfast', 'shop.dashboard', 'MonthlySales.build'])[1 + i % 3], i::text,
    '{"oat": "meal", "toppings": ["honey", "nuts"]}', '1', 0, now() - i * interval '4 minutes', 0.02 + (i % 7) * 0.4,
    CASE WHEN i % 13 = 0 THEN 3 ELSE 0 END,
    CASE WHEN i % 13 = 0 THEN '{"name": "Error", "message": "The warehouse does not answer", "stack": "Error: The warehouse does not answer\\n    at compute (/app/src/async/toasts.ts:12:3)"}'::jsonb END,
    CASE WHEN i % 13 = 0 THEN now() + interval '4 minutes' WHEN i % 11 = 0 THEN now() - interval '5 seconds' WHEN i = 17 THEN now() END,
    CASE WHEN i = 17 THEN 1 END, CASE WHEN i = 17 THEN 0.4 END
  FROM generate_series(1, 40) AS i;
  INSERT INTO reports (type, key, args)
  SELECT 'MonthlySales', 'key-' || i, jsonb_build_object('month', (ARRAY['January', 'February', 'March', 'April'])[1 + i % 4], 'region', i)
  FROM generate_series(1, 42) AS i`

const WORKERS = `
  INSERT INTO async_workers (host, pid, version, pool_id, tasks, started_at)
  SELECT 'worker-' || i || '.shop.example', 4000 + i, '0.1.0', 'pool-' || i, '{attempt,refresh_toast,refresh_report,sweep}', now() - i * interval '5 hours'
  FROM generate_series(1, 4) AS i`

/** Fills a migrated database. */
export async function fill(url: string, ended: number): Promise<void> {
  for (const table of ['attempts', 'toasts']) await query(url, `ALTER TABLE ${table} DISABLE TRIGGER ALL`)
  await query(url, WORKERS)
  await query(url, ENDED, [ended])
  await query(url, OPEN)
  await query(url, TOASTS)
  for (const table of ['attempts', 'toasts', 'reports']) {
    await query(url, `ALTER TABLE ${table} ENABLE TRIGGER ALL`)
    await query(url, `VACUUM (ANALYZE) ${table}`)
  }
}
