// Random calls that wait for each other, in random batches, run by several workers that are killed at random. What became of them is read
// from the table.
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Attempt } from '../chaos/host/graph/attempt.js'
import { targets } from '../chaos/host/graph/targets.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { query } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

/** How many random graphs, with how many workers. GRAPHS=100 takes some minutes. */
const GRAPHS = Number(process.env.GRAPHS ?? 4)
const WORKERS = 3

const url = await testDatabase()
const { db } = await import('../chaos/host/database.js')
const { prisma } = await import('../.app/src/db.js')
const Graph = targets.find('Graph') as never

const rows = <Row>(sql: string, values?: unknown[]) => query(url, sql, values) as Promise<Row[]>

type IfFailed = 'cancel' | 'run' | 'wait'
type Status = 'succeeded' | 'failed' | 'cancelled' | 'blocked'

interface Node {
  /** Positions of earlier nodes. */
  after: number[]
  ifFailed: IfFailed
  fails: boolean
  takes: number
  batch: number
  grows: boolean
}

const BATCHES = 4

/** A graph without cycles: each node names earlier ones. */
const graphs = fc
  .array(
    fc.record({
      after: fc.array(fc.nat(), { maxLength: 4 }),
      ifFailed: fc.constantFrom<IfFailed>('cancel', 'run', 'wait'),
      fails: fc.nat(5).map((n) => n === 0),
      takes: fc.nat(30),
      batch: fc.nat(BATCHES),
      grows: fc.nat(6).map((n) => n === 0),
    }),
    { minLength: 15, maxLength: 60 },
  )
  .map((nodes): Node[] =>
    nodes.map((node, i) => ({ ...node, after: i === 0 ? [] : [...new Set(node.after.map((n) => n % i))] })),
  )

let workers: WorkerProcess[] = []
let stopped = false
let killing: Promise<void> | undefined

const start = () => startWorker(REPOSITORY, { DATABASE_URL: url }, bundled('test/chaos/host/graph/worker.ts'))

beforeAll(async () => {
  // Each time that a blocked call becomes pending is noted: it must happen once, until it is retried.
  await rows(`
    CREATE TABLE graph (fails boolean);
    CREATE TABLE freed (id bigint);
    CREATE FUNCTION note_freed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO freed VALUES (NEW.id); RETURN NULL; END';
    CREATE TRIGGER note_freed AFTER UPDATE ON attempts FOR EACH ROW
      WHEN (OLD.status = 'blocked' AND NEW.status = 'pending') EXECUTE FUNCTION note_freed()`)
  workers = Array.from({ length: WORKERS }, start)
  killing = (async () => {
    while (!stopped) {
      await someEnds(5)
      await sleep(Math.random() * 100)
      if (stopped) return
      const victim = Math.floor(Math.random() * WORKERS)
      workers[victim]!.kill('SIGKILL')
      await workers[victim]!.exited
      if (!stopped) workers[victim] = start()
    }
  })()
})
beforeEach(() => rows(`TRUNCATE attempts, async_batches, freed, graph; INSERT INTO graph VALUES (true)`))
afterAll(async () => {
  stopped = true
  await killing
  for (const worker of workers) worker.kill('SIGKILL')
  await Promise.all(workers.map(({ exited }) => exited))
  await db.close()
  await prisma.$disconnect()
})

describe('random dependencies and batches, with workers that are killed', () => {
  it('keep the order, end as they should, and run each `then` once', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async (nodes) => {
        await rows('TRUNCATE attempts, async_batches, freed; UPDATE graph SET fails = true')
        const ids = await record(nodes)
        const first = outcomes(nodes, [])
        await settled(ids, first, nodes)
        await checkFreedOnce()
        // A call that is retried waits again for those that are retried with it.
        await rows('DELETE FROM freed WHERE id = ANY ($1)', [ids])
        await rows('UPDATE graph SET fails = false')
        await Attempt.retryAll({ status: 'failed' })
        await settled(ids, outcomes(nodes, first), nodes)
        await checkFreedOnce()
        await checkOrder()
        await checkBatches()
      }),
      { numRuns: GRAPHS, endOnFailure: true },
    )
  })
})

/** Waits until so many more calls have ended: on a busy machine, a worker takes longer to start than others take to be killed. */
async function someEnds(count: number): Promise<void> {
  const [{ now }] = (await rows<{ now: Date }>('SELECT clock_timestamp() AS now')) as [{ now: Date }]
  for (let ended = 0; ended < count && !stopped; await sleep(50)) {
    ended = (await rows('SELECT FROM attempts WHERE completed_at > $1', [now])).length
  }
}

/** Records the batches first, then the nodes, in pieces: each in a transaction of its own. */
async function record(nodes: Node[]): Promise<bigint[]> {
  const ids: bigint[] = []
  const batches = [] as { id: bigint }[]
  for (let i = 0; i < BATCHES; i++) {
    // An open call keeps the batch open until all of its nodes are recorded.
    const held = {
      target: Graph,
      method: 'node' as const,
      args: ['hold', 0, false],
      scheduledAt: new Date(Date.now() + 3_600_000),
    }
    batches.push(await Attempt.batch([held as never], { then: { target: Graph, method: 'follow' } as never }))
  }
  for (const [i, node] of nodes.entries()) {
    const batch = batches[node.batch]
    const grows = node.grows && batch !== undefined && !node.fails
    const attempt = await Attempt.create({
      target: Graph,
      method: grows ? 'grow' : 'node',
      args: grows ? [`n${i}`, 2] : [`n${i}`, node.takes, node.fails],
      after: node.after.map((earlier) => ids[earlier]!),
      ifFailed: node.ifFailed,
      ...(batch && { batch }),
    } as never)
    ids.push((attempt as { id: bigint }).id)
  }
  await rows(`UPDATE attempts SET scheduled_at = now() WHERE args ->> 0 = 'hold'`)
  return ids
}

/** What becomes of each node, if those that failed before succeed now. */
function outcomes(nodes: Node[], before: Status[]): Status[] {
  const found: Status[] = []
  for (const [i, { after, ifFailed, fails }] of nodes.entries()) {
    const was = before[i]
    const others = after.map((n) => found[n]!)
    const runs: Status = fails && before.length === 0 ? 'failed' : 'succeeded'
    const isEnded = (status: Status) => status !== 'blocked'
    if (was === 'succeeded' || was === 'cancelled') found.push(was)
    else if (was === 'failed') found.push('succeeded')
    else if (others.every((status) => status === 'succeeded')) found.push(runs)
    else if (ifFailed === 'cancel' && others.some((status) => isEnded(status) && status !== 'succeeded'))
      found.push('cancelled')
    else if (ifFailed === 'run' && others.every(isEnded)) found.push(runs)
    else found.push('blocked')
  }
  return found
}

/** Waits until nothing is left to run, and compares. */
async function settled(ids: bigint[], expected: Status[], nodes: Node[]): Promise<void> {
  await eventually('the end of all calls', async () => {
    const open = await rows(`SELECT FROM attempts WHERE status IN ('pending', 'running') LIMIT 1`)
    return open.length === 0
  }).catch(async (error) => {
    const open = await rows(
      `SELECT id, status, num_attempts, locked_by, scheduled_at FROM attempts WHERE status IN ('pending', 'running')`,
    )
    throw new Error(`${error.message} ${JSON.stringify(open)}`)
  })
  const found = await rows<{ id: string; status: Status }>(
    'SELECT id, status::text FROM attempts WHERE id = ANY ($1) ORDER BY id',
    [ids],
  )
  const shown = (statuses: Status[]) =>
    statuses.map((status, i) => `${i} ${status} after ${nodes[i]!.after} ${nodes[i]!.ifFailed}`)
  expect(shown(found.map(({ status }) => status))).toEqual(shown(expected))
}

/** No call has begun before those that it waits for had succeeded, or had ended if it wanted no more. */
async function checkOrder(): Promise<void> {
  const early = await rows(`
    SELECT attempt.id, earlier.id AS earlier
    FROM attempts AS attempt, unnest(attempt.after_ids) AS wanted (id) JOIN attempts AS earlier ON earlier.id = wanted.id
    WHERE attempt.started_at IS NOT NULL
      AND NOT (
        (earlier.status = 'succeeded' OR (attempt.if_failed = 'run' AND earlier.status = 'cancelled'))
        AND (earlier.completed_at <= attempt.started_at OR attempt.if_failed = 'run')
      )`)
  expect(early).toEqual([])
}

async function checkFreedOnce(): Promise<void> {
  expect(await rows('SELECT id FROM freed GROUP BY id HAVING count(*) > 1')).toEqual([])
}

/** A batch has finished, and its `then` has run, if and only if all of its calls have ended. */
async function checkBatches(): Promise<void> {
  const batches = await rows<{ open: number; finished: boolean; status: string; freed: number; counted: number }>(`
    SELECT
      (SELECT count(*)::int FROM attempts WHERE batch_id = batch.id AND id <> then_id AND status = 'blocked') AS open,
      finished_at IS NOT NULL AS finished,
      following.status::text AS status,
      (SELECT count(*)::int FROM freed WHERE freed.id = then_id) AS freed
    FROM async_batches AS batch JOIN attempts AS following ON following.id = then_id`)
  expect(batches).toHaveLength(BATCHES)
  for (const { open, finished, status, freed } of batches) {
    expect({ finished, status, freed }).toEqual(
      open === 0 ? { finished: true, status: 'succeeded', freed: 1 } : { finished: false, status: 'blocked', freed: 0 },
    )
  }
}
