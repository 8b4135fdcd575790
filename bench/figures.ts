import type { BenchmarkResult, Row, Table } from './result.js'
import { median, percentile } from './statistics.js'

/** A number that the documentation may quote, computed from the results. */
export interface Figure {
  /** How a quote names it: `<!-- bench: running-to-graphile -->`. */
  id: string
  text: string
  digits: number
  /** The goal, if it has one. */
  goal?: { atLeast: number } | { atMost: number }
  /** What limits it, shown if its goal is not met. */
  limit?: string
  unit?: string
  /** The table that it is computed from. */
  table: string
  value(tables: Tables): number
}

/** Finds what was measured. */
export class Tables {
  readonly #tables: Map<string, Table>

  constructor(results: readonly BenchmarkResult[]) {
    this.#tables = new Map(results.flatMap(({ tables }) => tables).map((table) => [table.id, table]))
  }

  has(id: string): boolean {
    return this.#tables.has(id)
  }

  /** @throws if nothing of that name was measured */
  row(id: string, name: string): Row {
    const row = this.#tables.get(id)?.rows.find((each) => each.name.startsWith(name))
    if (!row) throw new Error(`The table ${id} of the results has no row "${name}".`)
    return row
  }

  rows(id: string): Row[] {
    return this.#tables.get(id)?.rows ?? []
  }

  /** The median of a column of a row whose name starts so. */
  median(id: string, name: string, column: string): number {
    return median(this.row(id, name).values[column] ?? [])
  }

  ratio(id: string, name: string, base: string, column: string): number {
    return this.median(id, name, column) / this.median(id, base, column)
  }
}

export const figures: Figure[] = [
  {
    id: 'running-to-graphile',
    text: 'rate of attempts with stored results ÷ bare Graphile Worker jobs',
    digits: 2,
    goal: { atLeast: 0.4 },
    limit:
      'The processor: [the profile](#where-the-time-of-a-call-goes) shows what is left. A bare job is fetched and deleted. A call does that too, and changes a row twice: ' +
      'to count the run before it starts, and to keep its result. Each change is written to the table, to the log, and to the indexes that lists and retention read.',
    table: 'running',
    value: (tables) => tables.ratio('running', 'async-gen', 'Graphile Worker', 'rate'),
  },
  {
    id: 'graphile-to-running',
    text: 'rate of bare Graphile Worker jobs ÷ attempts with stored results',
    digits: 1,
    table: 'running',
    value: (tables) => tables.ratio('running', 'Graphile Worker', 'async-gen', 'rate'),
  },
  {
    id: 'running-to-pg-boss',
    text: 'rate of attempts with stored results ÷ pg-boss 12 in batches',
    digits: 1,
    goal: { atLeast: 5 },
    limit:
      'pg-boss gives 250 jobs to one call of a handler, and completes them with one statement. None of them is counted, timed, limited, traced or retried by itself before that. ' +
      'Job by job, pg-boss is the slower one: see `running-to-pg-boss-jobs`.',
    table: 'running',
    value: (tables) => tables.ratio('running', 'async-gen', 'pg-boss:', 'rate'),
  },
  {
    id: 'running-to-pg-boss-jobs',
    text: 'rate of attempts with stored results ÷ pg-boss 12 job by job',
    digits: 1,
    table: 'running',
    value: (tables) => tables.ratio('running', 'async-gen', 'pg-boss, job by job', 'rate'),
  },
  {
    id: 'transactions-to-prisma',
    text: 'rate of attempts that use their transaction ÷ bare transactions of Prisma',
    digits: 2,
    goal: { atLeast: 0.8 },
    limit:
      'Beside the transaction itself, the job is fetched and deleted and the row is claimed. A tenth goes to following the operations of the transaction, ' +
      'so that one which still runs when the call fails leaves nothing behind.',
    table: 'transactions',
    value: (tables) => tables.ratio('transactions', 'async-gen', 'bare transactions', 'rate'),
  },
  {
    id: 'recording-to-insert',
    text: 'time to record a call in a transaction ÷ a plain insert of the row',
    digits: 2,
    goal: { atMost: 1.15 },
    limit:
      'One more statement, the first time in each transaction: it reads the id of the transaction. The insert depends on it, because Prisma can send a statement after it has rolled back ' +
      '([prisma#29762](https://github.com/prisma/prisma/issues/29762)).',
    table: 'recording',
    value: (tables) => tables.ratio('recording', 'async-gen: Attempt.async', 'a plain insert of the row', 'time'),
  },
  {
    id: 'latency-idle',
    text: 'from the commit to the start of a call, idle worker, p50',
    digits: 1,
    unit: 'ms',
    goal: { atMost: 5 },
    table: 'latency',
    value: (tables) => tables.median('latency', 'async-gen', 'idle50'),
  },
  {
    id: 'fresh-to-select',
    text: 'reads of a fresh toast ÷ a prepared SELECT of its row',
    digits: 2,
    goal: { atLeast: 1 },
    limit:
      'A read is the same prepared statement. What is left is JavaScript: reads of one tick are collected, and 50 of them take one statement (see "50 times in one tick").',
    table: 'fresh',
    value: (tables) => tables.ratio('fresh', 'async-gen: a toast', 'a prepared SELECT of the row', 'rate'),
  },
  {
    id: 'fresh-to-bentocache',
    text: 'reads of a fresh toast ÷ bentocache',
    digits: 1,
    goal: { atLeast: 2 },
    limit: 'Both send one statement, which takes most of the time of each.',
    table: 'fresh',
    value: (tables) => tables.ratio('fresh', 'async-gen: a toast', 'bentocache', 'rate'),
  },
  {
    id: 'fresh-to-find-unique',
    text: 'reads of a fresh toast ÷ `findUnique` of its row',
    digits: 1,
    table: 'fresh',
    value: (tables) => tables.ratio('fresh', 'async-gen: a toast', 'Prisma: findUnique', 'rate'),
  },
  {
    id: 'stampede-computations',
    text: 'computations when 8 processes with 200 readers each want one stale value',
    digits: 0,
    table: 'stampede',
    value: (tables) => tables.median('stampede', 'async-gen', 'stale'),
  },
  {
    id: 'recovery',
    text: 'until a call of a killed worker starts again, the slowest round',
    digits: 1,
    unit: 's',
    goal: { atMost: 5 },
    table: 'recovery',
    value: (tables) => percentile(tables.row('recovery', 'async-gen').values.time!, 100),
  },
  {
    id: 'idle-queries',
    text: 'statements of an idle worker a second',
    digits: 1,
    goal: { atMost: 4 },
    table: 'idle',
    value: (tables) => tables.median('idle', 'async-gen, idle', 'queries'),
  },
  {
    id: 'idle-memory',
    text: 'memory of an idle worker, the most',
    digits: 0,
    unit: 'MB',
    goal: { atMost: 90 },
    limit:
      'Node.js, pg and Graphile Worker, which take nine tenths of it (see the idle worker of Graphile Worker alone). It is the most that was seen in ten minutes.',
    table: 'idle',
    value: (tables) => Math.max(...tables.row('idle', 'async-gen, idle').values.memory!),
  },
  {
    id: 'growth',
    text: 'time at 10,000,000 rows ÷ 10,000 rows, the operation that grows most',
    digits: 2,
    goal: { atMost: 1.3 },
    table: 'growth',
    value: (tables) => Math.max(...tables.rows('growth').map(({ values }) => median(values.ratio!))),
  },
  {
    id: 'install-500',
    text: '`async-gen install` in a host with 500 models',
    digits: 1,
    unit: 's',
    goal: { atMost: 1.5 },
    table: 'cli',
    value: (tables) => tables.median('cli', 'async-gen install', 'models500') / 1000,
  },
  {
    id: 'import',
    text: 'import of `@async-gen/runtime`',
    digits: 0,
    unit: 'ms',
    goal: { atMost: 60 },
    limit:
      "Node.js reads the runtime's 160 files, which takes half of the time. In one file, they would take 30 ms less. They stay apart, because a stack trace then names what you can read in `node_modules`.",
    table: 'imports',
    value: (tables) => tables.median('imports', '@async-gen/runtime', 'time'),
  },
]

/** A figure as the report and the documentation show it: `4.3`. */
export function shown({ digits }: Figure, value: number): string {
  if (Number.isNaN(value)) return '–'
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** Judged by the value as it is shown, so that a reader can check it. */
export function isMet(figure: Figure, value: number): boolean | undefined {
  const { goal } = figure
  if (!goal) return undefined
  const rounded = Number(value.toFixed(figure.digits))
  return 'atLeast' in goal ? rounded >= goal.atLeast : rounded <= goal.atMost
}
