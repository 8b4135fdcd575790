import type { DatabaseClient } from '../../host/database.js'
import { bodyText, columnText, type Definition, type Definitions, definitionKey, normalized } from './definitions.js'

/** One of our objects in the database. A function has several texts if it is overloaded. */
export interface PresentObject {
  texts: string[]
  /** A disabled trigger, or an index whose creation failed. */
  disabled: boolean
}

export interface Difference {
  definition: Definition
  what: 'missing' | 'differs' | 'disabled'
}

/** The definitions that the database lacks or has differently. The parts of a missing table are not listed. */
export function differences(definitions: Definitions, present: Map<string, PresentObject>): Difference[] {
  return [...definitions.values()].flatMap((definition): Difference[] => {
    const { table } = definition
    if (table !== undefined && lacksTable(definitions, present, table)) return []
    const found = present.get(definitionKey(definition))
    if (!found) return [{ definition, what: 'missing' }]
    if (definition.text !== null && !found.texts.includes(definition.text)) return [{ definition, what: 'differs' }]
    return found.disabled ? [{ definition, what: 'disabled' }] : []
  })
}

/** Whether one of our tables is missing. (A trigger may be on a table of the host.) */
function lacksTable(definitions: Definitions, present: Map<string, PresentObject>, table: string): boolean {
  const key = definitionKey({ kind: 'table', name: table })
  return definitions.has(key) && !present.has(key)
}

/** The objects in the database with the names of ours, by key. */
export async function presentObjects(
  client: DatabaseClient,
  definitions: Definitions,
): Promise<Map<string, PresentObject>> {
  const all = [...definitions.values()]
  const names = (kind: Definition['kind']) => all.filter((each) => each.kind === kind).map(({ name }) => name)
  const triggers = names('trigger').map((name) => name.replace(/ on .*$/, ''))
  const { rows } = await client.query<Row>(catalog, [names('table'), triggers, names('function'), names('type')])
  const found = new Map<string, PresentObject>()
  for (const row of rows) {
    const { texts, disabled } = found.get(definitionKey(row)) ?? { texts: [], disabled: false }
    found.set(definitionKey(row), { texts: [...texts, textOf(row)], disabled: disabled || row.disabled })
  }
  return found
}

interface Row {
  kind: Definition['kind']
  name: string
  text: string
  disabled: boolean
  schema: string
  not_null: boolean
  has_default: boolean
}

function textOf({ kind, text, schema, not_null, has_default }: Row): string {
  if (kind === 'index' || kind === 'trigger') return normalized(text, schema)
  if (kind === 'function') return bodyText(text)
  if (kind === 'column') return columnText(text.replaceAll('"', '').replace(`${schema}.`, ''), not_null, has_default)
  return text
}

const catalog = `
  WITH tables AS (
    SELECT pg_class.oid, relname, nspname
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND relname = ANY ($1::text[]) AND pg_table_is_visible(pg_class.oid)
  )
  SELECT 'table' AS kind, relname::text AS name, '' AS text,
    nspname::text AS schema, false AS disabled, false AS not_null, false AS has_default
  FROM tables

  UNION ALL
  SELECT 'column', relname || '.' || attname, format_type(atttypid, NULL),
    nspname, false, attnotnull, atthasdef OR attidentity <> ''
  FROM tables JOIN pg_attribute ON attrelid = tables.oid
  WHERE attnum > 0 AND NOT attisdropped

  UNION ALL
  SELECT 'index', pg_class.relname, pg_get_indexdef(indexrelid), nspname, NOT indisvalid, false, false
  FROM tables
  JOIN pg_index ON indrelid = tables.oid
  JOIN pg_class ON pg_class.oid = indexrelid

  UNION ALL
  SELECT 'trigger',
    tgname || ' on ' || CASE WHEN pg_table_is_visible(pg_class.oid) THEN '' ELSE nspname || '.' END || relname,
    pg_get_triggerdef(pg_trigger.oid), nspname, tgenabled IN ('D', 'R'), false, false
  FROM pg_trigger
  JOIN pg_class ON pg_class.oid = tgrelid
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
  WHERE tgname = ANY ($2::text[]) AND NOT tgisinternal

  UNION ALL
  SELECT 'function', proname, prosrc, nspname, false, false, false
  FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
  WHERE proname = ANY ($3::text[]) AND pg_function_is_visible(pg_proc.oid)

  UNION ALL
  SELECT 'type', typname, string_agg(enumlabel, ', ' ORDER BY enumsortorder), nspname, false, false, false
  FROM pg_type
  JOIN pg_namespace ON pg_namespace.oid = typnamespace
  JOIN pg_enum ON enumtypid = pg_type.oid
  WHERE typname = ANY ($4::text[]) AND pg_type_is_visible(pg_type.oid)
  GROUP BY pg_type.oid, typname, nspname`
