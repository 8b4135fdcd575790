import type { Database, Statement } from '../database.js'
import { keptTables } from '../upkeep.js'
import { BUCKETS, type Tally } from './tally.js'

/** What Prometheus is told: the state of the tables, which is the same whoever is asked, and what this process has done. */
export async function metrics(db: Database, tally: Tally): Promise<string> {
  const [tables, workers] = await Promise.all([tableSamples(db), db.workers()])
  const families: Family[] = [
    { name: 'async_gen_workers', help: 'Workers that are alive.', type: 'gauge', samples: [{ value: workers.length }] },
    {
      name: 'async_gen_rows',
      help: 'Attempts that are due, running or failed; toasts whose refresh is due, running or failing.',
      type: 'gauge',
      samples: tables.rows,
    },
    {
      name: 'async_gen_oldest_due_seconds',
      help: 'For how long the oldest row has been due.',
      type: 'gauge',
      samples: tables.oldestDue,
    },
    {
      name: 'async_gen_duration_seconds',
      help: 'Runs, refreshes, builds and jobs of this process, by outcome.',
      type: 'histogram',
      samples: durations(tally),
    },
  ]
  return families.map(show).join('')
}

interface Family {
  name: string
  help: string
  type: 'gauge' | 'histogram'
  samples: Sample[]
}

interface Sample {
  /** What comes after the family's name: `_bucket`. */
  suffix?: string
  labels?: Record<string, string>
  value: number
}

interface TableState {
  due: number
  running: number
  failed: number
  /** Seconds. */
  oldest_due: number
}

async function tableSamples(db: Database): Promise<{ rows: Sample[]; oldestDue: Sample[] }> {
  const states = await Promise.all(
    [...keptTables(db)].map(async ({ kind, table }) => {
      const [state] = await db.query<TableState>(
        kind === 'attempts' ? stateOfAttempts(table) : stateOfToasts(table),
        [],
      )
      return { table, ...state! }
    }),
  )
  const samples = (state: 'due' | 'running' | 'failed') =>
    states.map((each) => ({ labels: { table: each.table, state }, value: each[state] }))
  return {
    rows: [...samples('due'), ...samples('running'), ...samples('failed')],
    oldestDue: states.map(({ table, oldest_due }) => ({ labels: { table }, value: oldest_due })),
  }
}

function durations(tally: Tally): Sample[] {
  return tally.counts.flatMap(({ deed, outcome, count, sum, buckets }) => {
    const labels = { deed, outcome }
    return [
      ...buckets.map((value, i) => ({ suffix: '_bucket', labels: { ...labels, le: String(BUCKETS[i]) }, value })),
      { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: count },
      { suffix: '_sum', labels, value: sum },
      { suffix: '_count', labels, value: count },
    ]
  })
}

function show({ name, help, type, samples }: Family): string {
  const lines = samples.map(({ suffix = '', labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text.replace(/[\\"]/g, '\\$&')}"`)
    return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

// Each count has a partial index, so that what is done and kept costs nothing here.
const stateOfAttempts = (table: string): Statement => ({
  name: `${table}:state`,
  text: `
    SELECT waiting.due, waiting.oldest_due, running.running, failed.failed
    FROM
      (
        SELECT
          count(*)::int AS due,
          coalesce(extract(epoch FROM clock_timestamp() - min(scheduled_at)), 0)::float8 AS oldest_due
        FROM "${table}" WHERE status = 'pending' AND scheduled_at <= now()
      ) AS waiting,
      (SELECT count(*)::int AS running FROM "${table}" WHERE status = 'running') AS running,
      (SELECT count(*)::int AS failed FROM "${table}" WHERE status = 'failed') AS failed`,
})

const stateOfToasts = (table: string): Statement => ({
  name: `${table}:state`,
  text: `
    SELECT
      count(*) FILTER (WHERE refresh_at <= now())::int AS due,
      coalesce(extract(epoch FROM clock_timestamp() - min(refresh_at) FILTER (WHERE refresh_at <= now())), 0)::float8 AS oldest_due,
      count(*) FILTER (WHERE locked_by IS NOT NULL)::int AS running,
      count(*) FILTER (WHERE failures > 0)::int AS failed
    FROM "${table}" WHERE refresh_at IS NOT NULL`,
})
