import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { eventually } from '../../support/eventually.js'
import { Fleet, type Worker } from './fleet.js'
import { reasonsAreGiven, stopsInTime, untilAllEnded, untilEachTakesWork, untilTablesAreClean } from './invariants.js'
import { type Balance, balance, interruptedCalls, secondsAfterKill, secondsToRecover } from './ledger.js'
import { watchReadiness } from './monitor.js'
import { startProxy } from './proxy.js'
import type { Scenario } from './scenarios.js'
import { type Ground, type Interruption, openPool, PROOF, persist, randomFrom, type Scene } from './scene.js'

export interface Played extends Balance {
  name: string
  backlog: number
  /** Workers that ended by themselves, at work and before they were first ready. */
  ended: number
  endedAtStart: number
  killed: number
  /** Seconds until interrupted work ran again. */
  recovered: number[]
  /** How long all of it took. */
  seconds: number
  /** The promises that were broken: the name of the invariant, a colon, what was found. */
  broken: string[]
  /** What the workers printed. */
  logs: string
}

export interface PlayOptions {
  seed: number
  /** How many calls are due before the fault begins. */
  backlog?: number
  /** How many workers there are at a time, every second one with prefetched jobs. */
  workers?: number
}

/** Plays one scenario with real workers on a database of its own, and returns what it did and which promises it broke. */
export async function play(
  ground: Ground,
  scenario: Scenario,
  { seed, backlog = 0, workers = 4 }: PlayOptions,
): Promise<Played> {
  const began = performance.now()
  const access = await ground.createDatabase()
  const admin = openPool(access.admin, 6)
  const client = openPool(access.url, 4)
  const elsewhere = openPool(Object.assign(new URL(access.admin), { pathname: '/postgres' }).href, 1)
  const proxy = scenario.proxied ? await startProxy(access.url) : undefined
  const fleet = new Fleet(ground.host, { DATABASE_URL: proxy?.url ?? access.url, WITNESS_URL: access.admin })
  const random = randomFrom(seed)
  const acknowledged: string[] = []
  const interruptions: Interruption[] = []
  const broken: string[] = []
  let stopWatching: (() => Promise<string[]>) | undefined
  const sql = async (text: string, values?: unknown[]) => await persist(admin, text, values)

  const record: Scene['record'] = async (count, { milliseconds, priority = 10, maxAttempts = 25 } = {}) => {
    const times = Array.from({ length: count }, () => milliseconds ?? 20 + Math.floor(random() * 280))
    const methods = times.map((_, i) => (maxAttempts > 1 && i % 2 === 0 ? 'exact' : 'loose'))
    const ids = await insisting(async () => {
      const { rows } = await client.query(recordCalls, [times, methods, priority, maxAttempts])
      return rows.map(({ id }) => id as string)
    })
    acknowledged.push(...ids)
    return ids
  }
  const scene: Scene = {
    fleet,
    workers,
    ground,
    proxy,
    access,
    database: new URL(access.url).pathname.slice(1),
    role: new URL(access.url).username,
    sql: sql as Scene['sql'],
    elsewhere: async (text, values) => await persist(elsewhere, text, values),
    terminate: async () =>
      (await persist(elsewhere, terminateSessions, [new URL(access.url).pathname.slice(1)])).length,
    record,
    progress: async (count) => {
      const succeeded = async () =>
        (await sql(`SELECT count(*)::int FROM attempts WHERE status = 'succeeded'`))[0]!.count
      const before = await succeeded()
      await eventually(`${count} more calls`, async () => (await succeeded()) >= before + count, 120_000)
    },
    random,
    pick: (items) => items[Math.floor(random() * items.length)]!,
    kill: async (...victims: Worker[]) => await fleet.kill(...victims),
    holdingRow: async (hold) => {
      const connection = await client.connect()
      try {
        const { rows } = await connection.query(recordForLater)
        acknowledged.push(rows[0].id)
        await connection.query('BEGIN')
        await connection.query('SELECT FROM attempts WHERE id = $1 FOR UPDATE', [rows[0].id])
        await eventually('the row to be due', async () => (await sql(isDue, [rows[0].id])).length > 0, 60_000)
        await hold()
      } finally {
        await connection.query('ROLLBACK')
        connection.release()
      }
    },
    untilEachTakesWork: async () => await untilEachTakesWork(scene, admin),
    lasts: async (seconds) => await sleep(seconds * 1000),
  }

  let result: Balance | undefined
  const recovered: number[] = []
  try {
    await persist(client, PROOF)
    await scenario.before?.(scene)
    await fleet.start(workers)
    for (let left = backlog; left > 0; left -= 500) await record(Math.min(left, 500), { milliseconds: 150 })
    const stopTraffic = keepRecording(scene, scenario, backlog)
    await scene.progress(20)
    stopWatching = watchReadiness(fleet, admin)

    await scenario.fault(scene).catch((error: Error) => broken.push(`fault: ${error.message}`))
    const at = new Date()
    const left = await interruptedCalls(admin)
    interruptions.push({ at, calls: [...left, ...(await record(10, { milliseconds: 50, priority: 1000 }))] })
    await stopTraffic()

    const stuck = await untilAllEnded(admin)
    broken.push(...stuck)
    if (stuck.length === 0) broken.push(...(await checkLiveness(scene, admin)))
    broken.push(...(await stopWatching()))
    stopWatching = undefined
    broken.push(...(await stopsInTime(fleet)))
    await scenario.after?.(scene)

    result = await balance(admin, acknowledged)
    for (const interruption of interruptions) recovered.push(...(await secondsToRecover(admin, interruption)))
    for (const worker of fleet.workers.filter(({ killedAt }) => killedAt)) {
      recovered.push(...(await secondsAfterKill(admin, worker)))
    }
    broken.push(...reasonsAreGiven(fleet), ...judge(result, scenario, fleet))
  } catch (error) {
    broken.push(`scenario: ${error instanceof Error ? error.message : String(error)}`)
    result ??= await balance(admin, acknowledged)
  } finally {
    await stopWatching?.()
    await fleet.clear()
    proxy?.close()
    await scenario.undo?.(scene)
    await Promise.all([admin, client, elsewhere].map((pool) => pool.end()))
  }
  const ended = fleet.workers.filter(({ state }) => state === 'ended')
  return {
    ...result,
    name: scenario.name,
    backlog,
    ended: ended.filter(({ wasReady }) => wasReady).length,
    endedAtStart: ended.filter(({ wasReady }) => !wasReady).length,
    killed: fleet.workers.filter(({ killedAt }) => killedAt).length,
    recovered,
    seconds: (performance.now() - began) / 1000,
    broken,
    logs: fleet.workers.map((worker) => `── worker ${worker.pid}, ${worker.state}\n${worker.log}`).join('\n'),
  }
}

/** Whether all workers are ready and take work, and leave nothing behind. Returns what is broken. */
async function checkLiveness(scene: Scene, pool: pg.Pool): Promise<string[]> {
  const { fleet, workers } = scene
  try {
    await fleet.untilReady(workers)
  } catch (error) {
    return [`readiness: ${(error as Error).message}`]
  }
  const broken = [...(await untilEachTakesWork(scene, pool)), ...(await untilAllEnded(pool))]
  return broken.length > 0 ? broken : await untilTablesAreClean(pool, fleet)
}

function judge(result: Balance, { costsNoRun, mayEnd }: Scenario, fleet: Fleet): string[] {
  const { lost, doubled, failed, chargedErrors } = result
  const ended = fleet.workers.filter(({ state, wasReady }) => state === 'ended' && wasReady)
  const charged = chargedErrors.map(({ message, times }) => `${times} × ${message}`).join('; ')
  return [
    ...(lost > 0 ? [`lost: ${lost} attempts`] : []),
    ...(doubled > 0 ? [`doubled: ${doubled} effects through tx()`] : []),
    ...(failed > 0 ? [`failed: ${failed} attempts ended as failed`] : []),
    ...(costsNoRun && charged ? [`charged: errors of the bookkeeping count as failed runs: ${charged}`] : []),
    ...(mayEnd
      ? []
      : ended.map((worker) => `ended: worker ${worker.pid}, which could go on, ended with ${worker.exitCode}`)),
  ]
}

/**
 * Records a few calls twice a second, as an application does while something is wrong, unless more than a hundred wait beyond the
 * backlog. Returns what ends it.
 */
function keepRecording({ record, sql }: Scene, { costsNoRun }: Scenario, backlog: number): () => Promise<void> {
  const stop = new AbortController()
  const recording = (async () => {
    while (!stop.signal.aborted) {
      const [row] = await sql(countOpen)
      if (row!.open <= backlog + 100) {
        await record(16)
        if (costsNoRun) await record(4, { maxAttempts: 1 })
      }
      await sleep(500, undefined, { signal: stop.signal }).catch(() => {})
    }
  })()
  recording.catch(() => {})
  return async () => {
    stop.abort()
    await recording
  }
}

/** Tries a statement again whatever its error, as an application would, for two minutes. */
async function insisting<Result>(send: () => Promise<Result>): Promise<Result> {
  for (const end = performance.now() + 120_000; ; await sleep(250)) {
    try {
      return await send()
    } catch (error) {
      if (performance.now() > end) throw error
    }
  }
}

const countOpen = `SELECT count(*)::int AS open FROM attempts WHERE status IN ('pending', 'running')`

const recordForLater = `
  INSERT INTO attempts (target, method, args, scheduled_at) VALUES ('Proof', 'loose', '[20]', now() + '2 s') RETURNING id::text`

// Its job was taken: somebody waits for the row.
const isDue = `SELECT FROM graphile_worker.jobs WHERE key = 'attempt:' || $1::text AND locked_at IS NOT NULL`

const recordCalls = `
  INSERT INTO attempts (target, method, args, priority, max_attempts)
  SELECT 'Proof', call.method, jsonb_build_array(call.milliseconds), $3, $4
  FROM unnest($1::int[], $2::text[]) AS call (milliseconds, method)
  RETURNING id::text`

// Of this program and of the witnesses every name begins so.
const terminateSessions = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = $1 AND pid <> pg_backend_pid() AND application_name NOT LIKE 'chaos%' AND backend_type = 'client backend'`
