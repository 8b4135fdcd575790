import { lingeringCalls } from '../attempt/lingering.js'
import type { Database } from '../core/database.js'
import { BUCKETS } from '../telemetry/opentelemetry.js'
import type { Counters } from './counters.js'
import { queueStatistics } from './queue-statistics.js'

/**
 * The metrics in Prometheus' text format: the queue statistics, which are the same in every process, and the counters of this process.
 *
 * @param secondsSincePoll seconds with free slots and without a successful poll; undefined before the first runner
 */
export async function metrics(db: Database, counters: Counters, secondsSincePoll: number | undefined): Promise<string> {
  const { workers, tables, pauses, limits } = await queueStatistics(db)
  const rows = (state: 'due' | 'paused' | 'limited' | 'blocked' | 'running' | 'failed') =>
    tables.flatMap(({ table, [state]: value }) => (value === undefined ? [] : [{ labels: { table, state }, value }]))
  const families: Family[] = [
    { name: 'async_gen_workers', help: 'Workers that are alive.', type: 'gauge', samples: [{ value: workers }] },
    {
      name: 'async_gen_rows',
      help: 'Attempts that are due, due but paused or limited, blocked, running or failed; toasts whose refresh is due, running or failing.',
      type: 'gauge',
      samples: (['due', 'paused', 'limited', 'blocked', 'running', 'failed'] as const).flatMap(rows),
    },
    {
      name: 'async_gen_oldest_due_seconds',
      help: 'How long the oldest due row has been due.',
      type: 'gauge',
      samples: tables.map(({ table, oldestDue }) => ({ labels: { table }, value: oldestDue })),
    },
    {
      name: 'async_gen_paused',
      help: 'Pauses in force: what is paused, with * for all targets or methods.',
      type: 'gauge',
      samples: pauses.map(({ model, target, method }) => ({ labels: { model, target, method }, value: 1 })),
    },
    {
      name: 'async_gen_limit_calls',
      help: 'Calls of the keys of a limit that run, or are due and wait.',
      type: 'gauge',
      samples: limits.flatMap(({ model, limit, running, waiting }) => [
        { labels: { model, limit, state: 'running' }, value: running },
        { labels: { model, limit, state: 'waiting' }, value: waiting },
      ]),
    },
    {
      name: 'async_gen_limit_full_keys',
      help: 'Keys of a limit that have no room, at most 100.',
      type: 'gauge',
      samples: limits.map(({ model, limit, fullKeys }) => ({ labels: { model, limit }, value: fullKeys })),
    },
    {
      name: 'async_gen_since_poll_seconds',
      help: 'Seconds without a successful poll for jobs, while this worker had free slots.',
      type: 'gauge',
      samples: secondsSincePoll === undefined ? [] : [{ value: secondsSincePoll }],
    },
    {
      name: 'async_gen_lingering_calls',
      help: 'Calls of this process that ignore their signal and still run after their time limit.',
      type: 'gauge',
      samples: [{ value: lingeringCalls(db).size }],
    },
    {
      name: 'async_gen_duration_seconds',
      help: 'Runs, refreshes, builds and jobs of this process, by outcome.',
      type: 'histogram',
      samples: durations(counters),
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
  /** Added to the name of the family: `_bucket`. */
  suffix?: string
  labels?: Record<string, string>
  value: number
}

function durations(counters: Counters): Sample[] {
  return counters.counts.flatMap(({ operation, outcome, count, sum, buckets }) => {
    const labels = { operation, outcome }
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
    const pairs = Object.entries(labels).map(
      ([label, text]) => `${label}="${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`,
    )
    return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}
