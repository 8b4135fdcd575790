import { attemptTask, runWorker } from '@async-gen/runtime'
import { openApplication } from '../application.js'
import type { Queue } from './queue.js'

const INSERT = `
  INSERT INTO attempts (target, method, args)
  SELECT 'Work', $1, args FROM jsonb_array_elements($2) AS args`

const UNFINISHED = `SELECT FROM attempts WHERE status IN ('pending', 'running') LIMIT 1`

export const asyncGen: Queue = {
  name: 'async-gen',
  settings: '`prefetch: 500` for throughput (docs/operating.md#growing); else its defaults',
  open: async () => ({
    record: async (client, method, args) => void (await client.query(INSERT, [method, JSON.stringify(args)])),
    isEmpty: async (client) => (await client.query(UNFINISHED)).rowCount === 0,
    close: async () => {},
  }),
  work: async (url, { purpose, concurrency }) => {
    const { db, Attempt } = await openApplication(url)
    const prefetch = purpose === 'throughput' && { prefetch: 500 }
    // Reports by itself when it takes jobs.
    return await runWorker(db, { tasks: { attempt: attemptTask(Attempt) }, concurrency, ...prefetch, log: 'json' })
  },
}
