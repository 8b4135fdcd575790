import pg from 'pg'

/** A statement that the runtime has sent. */
export interface Sent {
  text: string
  values: unknown[]
  name?: string
}

/** A node of a plan, as EXPLAIN (FORMAT JSON) has it. */
export interface Node {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  'Rows Removed by Filter'?: number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Node[]
}

/** The statements that the runtime sends while it does something, each text once. */
export async function sentBy(operation: () => Promise<unknown>): Promise<Sent[]> {
  const sent = new Map<string, Sent>()
  const query = pg.Client.prototype.query
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [config] = args as [Partial<Sent>]
    const reads = /attempts|toasts|reports/.test(config.text ?? '')
    // EXPLAIN itself reads no rows.
    if (reads && !config.text!.startsWith('EXPLAIN')) sent.set(config.text!, config as Sent)
    return (query as (...args: unknown[]) => unknown).apply(this, args)
  } as typeof query
  try {
    await operation()
  } finally {
    pg.Client.prototype.query = query
  }
  return [...sent.values()]
}

/** Opens a connection with those settings of the runtime's own connections that decide on plans. */
export async function openExplainer(url: string): Promise<pg.Client> {
  const explainer = new pg.Client({ connectionString: url })
  await explainer.connect()
  await explainer.query('SET jit = off; SET enable_seqscan = off; SET parallel_setup_cost = 10000')
  return explainer
}

/** The plan for the values of a statement; for a prepared one also that for any values, to which PostgreSQL may change. */
export async function plansOf(explainer: pg.Client, { text, values, name }: Sent): Promise<Node[]> {
  const prepared = values.map((value) => pg.escapeLiteral(asText(value)))
  const execute = `EXECUTE explained${values.length > 0 ? ` (${values.map((value, i) => (value === null ? 'NULL' : prepared[i])).join(', ')})` : ''}`
  const plans: Node[] = []
  for (const mode of name ? ['force_custom_plan', 'force_generic_plan'] : ['force_custom_plan']) {
    await explainer.query(`BEGIN; SET LOCAL plan_cache_mode = ${mode}; PREPARE explained AS ${text}`)
    try {
      const { rows } = await explainer.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${execute}`)
      plans.push(rows[0]['QUERY PLAN'][0].Plan)
    } finally {
      await explainer.query('ROLLBACK; DEALLOCATE explained')
    }
  }
  return plans
}

function asText(value: unknown): string {
  if (Array.isArray(value))
    return `{${value.map((item) => (item === null ? 'NULL' : JSON.stringify(`${item}`))).join(',')}}`
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Scans of a whole table, and walks of an index that skip many rows. */
export function scansOf(node: Node): string[] {
  const table = node['Relation Name'] ?? ''
  const isGrown = ['attempts', 'toasts', 'reports'].includes(table)
  const isScan = node['Node Type'] === 'Seq Scan' || (node['Rows Removed by Filter'] ?? 0) > 1000
  const found = isGrown && isScan ? [`${node['Node Type']} of ${table} ${node['Index Name'] ?? ''}`] : []
  return [...found, ...(node.Plans ?? []).flatMap(scansOf)]
}
