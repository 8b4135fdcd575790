import type { DatabaseClient } from '../../host/database.js'
import { modelsOfHost } from '../../host/host-models.js'
import type { Host } from '../../host/inspect.js'
import type { Finding } from './finding.js'

/** Fields that each model of attempts has. */
const FIELDS = ['target', 'method', 'args', 'scheduledAt']

/** Calls that wait because somebody has paused them, which is easily forgotten, and pauses that stop nothing. */
export async function pauses(client: DatabaseClient, host: Host): Promise<Finding[]> {
  const { rows: tables } = await client.query(`SELECT FROM pg_class WHERE oid = to_regclass('async_pauses')`)
  if (tables.length === 0) return []
  const { rows } = await client.query<PauseRow>(`
    SELECT
      model, target, method, reason,
      to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since,
      CASE WHEN isfinite(until) THEN to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS until
    FROM async_pauses
    WHERE until IS NULL OR until > now()
    ORDER BY model, target, method
    LIMIT 20
  `)
  if (rows.length === 0) return []
  const models = modelsOfHost(host)
    .filter(({ fields }) => FIELDS.every((field) => fields.some(({ name }) => name === field)))
    .map(({ name }) => name)
  return rows.map((row) => (models.includes(row.model) ? pauseNote(row) : unmatched(row, models)))
}

interface PauseRow {
  model: string
  target: string
  method: string
  since: string
  until: string | null
  reason: string | null
}

function pauseNote(pause: PauseRow): Finding {
  const { model, since, until, reason } = pause
  const path = pathOf(pause)
  const what = path === '*' ? `All calls of ${model}` : `The calls of ${path} (${model})`
  const end = until === null ? 'until they are resumed' : `until ${until}`
  // Only plain names are safe to paste into a shell.
  const isPlain = path === '*' || /^\w[\w.]*$/.test(path)
  const resume = `npx async-gen-worker attempts resume${path === '*' ? '' : ` ${path}`} --model ${model}`
  return {
    severity: 'note',
    code: 'PAUSED',
    message: `${what} have been paused since ${since}, ${end}: ${reason ?? 'no reason was given'}`,
    where: 'async_pauses',
    remedy: `If they should run: ${isPlain ? resume : deleteStatement(pause)}`,
  }
}

/** `resume` cannot name a model without a class. */
function unmatched(pause: PauseRow, models: string[]): Finding {
  const path = pathOf(pause)
  return {
    severity: 'warning',
    code: 'PAUSE_UNMATCHED',
    message:
      `The pause of ${path === '*' ? 'all calls' : path} stops no call: its model is "${pause.model}". ` +
      `The models of attempts are: ${models.join(', ') || 'none yet'}.`,
    where: 'async_pauses',
    remedy: `Remove it: ${deleteStatement(pause)}\nTo pause those calls, insert it again with the name of the model.`,
  }
}

function pathOf({ target, method }: PauseRow): string {
  return method === '*' ? target : `${target}.${method}`
}

function deleteStatement({ model, target, method }: PauseRow): string {
  const [ofModel, ofTarget, ofMethod] = [model, target, method].map((name) => `'${name.replaceAll("'", "''")}'`)
  return `DELETE FROM async_pauses WHERE model = ${ofModel} AND target = ${ofTarget} AND method = ${ofMethod};`
}
