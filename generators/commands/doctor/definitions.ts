/** An object that one of our migrations creates, in a form that can be compared with the database. */
export interface Definition {
  kind: 'type' | 'table' | 'column' | 'index' | 'trigger' | 'function'
  /** Unique within its kind: `attempts_due`, `attempts.status`, `attempts_enqueue_inserted on attempts`. */
  name: string
  /** The table that it belongs to; absent for an object of its own. */
  table?: string
  /** The definition to compare; null if only its existence is compared. */
  text: string | null
  /** The last migration that defines it. */
  migration: string
}

export type Definitions = Map<string, Definition>

export function definitionKey({ kind, name }: Pick<Definition, 'kind' | 'name'>): string {
  return `${kind} ${name}`
}

/**
 * Applies the SQL of a migration to the definitions. A later definition replaces an earlier one. It knows the kinds of
 * statements that our migrations use, and ignores others.
 *
 * @param only `functions` for a migration of the host: only replaced functions of ours count
 */
export function readMigration(definitions: Definitions, sql: string, migration: string, only?: 'functions') {
  for (const statement of statements(sql)) {
    const replaced = readFunction(statement)
    if (only) {
      if (replaced && definitions.has(definitionKey({ kind: 'function', name: replaced.name })))
        set(definitions, { ...replaced, migration })
      continue
    }
    for (const each of created(statement)) set(definitions, { ...each, migration })
    change(definitions, statement, migration)
  }
}

type Created = Omit<Definition, 'migration'>

function set(definitions: Definitions, definition: Definition) {
  definitions.set(definitionKey(definition), definition)
}

function created(statement: string): Created[] {
  const made = readFunction(statement) ?? readIndex(statement) ?? readTrigger(statement) ?? readType(statement)
  return made ? [made] : readTable(statement)
}

function readFunction(statement: string): Created | undefined {
  const name = first(/^CREATE (?:OR REPLACE )?FUNCTION ([\w."]+)/i, statement)
  const body = /\$(\w*)\$([\s\S]*)\$\1\$/.exec(statement)?.[2]
  return name !== undefined && body !== undefined ? { kind: 'function', name, text: bodyText(body) } : undefined
}

/** With LF: a checkout may have changed the line endings. */
export function bodyText(body: string): string {
  return body.replaceAll('\r\n', '\n')
}

function readIndex(statement: string): Created | undefined {
  const pattern = /^CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?([\w"]+) ON ([\w."]+)/i
  const [, name, table] = pattern.exec(statement) ?? []
  if (name === undefined || table === undefined) return undefined
  const text = normalized(statement.replace(/CONCURRENTLY |IF NOT EXISTS /gi, ''))
  return { kind: 'index', name: unquoted(name), table: unquoted(table), text }
}

function readTrigger(statement: string): Created | undefined {
  const [, name, table] = /^CREATE (?:OR REPLACE )?TRIGGER ([\w"]+)[\s\S]*?\sON ([\w."]+)/i.exec(statement) ?? []
  if (name === undefined || table === undefined) return undefined
  const text = normalized(statement.replace(/OR REPLACE /i, ''))
  return { kind: 'trigger', name: triggerName(unquoted(name), unquoted(table)), table: unquoted(table), text }
}

/** Includes the table, because triggers of two tables can have the same name. */
function triggerName(name: string, table: string): string {
  return `${name} on ${table}`
}

function readType(statement: string): Created | undefined {
  const [, name, labels] = /^CREATE TYPE ([\w."]+) AS ENUM \(([\s\S]*)\)/i.exec(statement) ?? []
  if (name === undefined) return undefined
  const text = [...labels!.matchAll(/'([^']*)'/g)].map(([, label]) => label).join(', ')
  return { kind: 'type', name: unquoted(name), text }
}

function readTable(statement: string): Created[] {
  const [, quoted, body] = /^CREATE TABLE (?:IF NOT EXISTS )?([\w."]+) \(([\s\S]*)\)/i.exec(statement) ?? []
  if (quoted === undefined) return []
  const table = unquoted(quoted)
  const columns = parts(body!).flatMap((part) => readColumn(table, part) ?? [])
  return [{ kind: 'table', name: table, text: null }, ...columns]
}

function readColumn(table: string, part: string): Created | undefined {
  const [, name, rest] = /^"([^"]+)" ([\s\S]+)$/.exec(part) ?? []
  if (name === undefined) return undefined
  const [declared = ''] = rest!.split(/ (?:NOT NULL|NULL|DEFAULT|PRIMARY KEY|REFERENCES)\b/i)
  const notNull = /\bNOT NULL\b|PRIMARY KEY/i.test(rest!)
  const hasDefault = /\bDEFAULT\b/i.test(rest!) || /^(big|small)?serial/i.test(declared)
  return { kind: 'column', name: `${table}.${name}`, table, text: columnText(typeName(declared), notNull, hasDefault) }
}

export function columnText(type: string, notNull: boolean, hasDefault: boolean): string {
  return `${type}${notNull ? ' not null' : ''}${hasDefault ? ', with a default' : ''}`
}

/** The names that `format_type` returns. */
const TYPES: Record<string, string> = {
  bigserial: 'bigint',
  bool: 'boolean',
  decimal: 'numeric',
  int: 'integer',
  int8: 'bigint',
  serial: 'integer',
  timestamptz: 'timestamp with time zone',
  varchar: 'character varying',
}

/** Without the precision, which does not matter to the runtime. */
function typeName(declared: string): string {
  const [, name = '', array = ''] = /^([\w ."]+?)(?:\(\d+\))?((?:\[\])*)$/.exec(declared.trim()) ?? []
  if (name.includes('"')) return unquoted(name) + array
  return (TYPES[name.toLowerCase()] ?? name.toLowerCase()) + array
}

/** Applies ALTER and DROP statements. */
function change(definitions: Definitions, statement: string, migration: string) {
  const [, type, value] = /^ALTER TYPE ([\w."]+) ADD VALUE (?:IF NOT EXISTS )?'([^']+)'/i.exec(statement) ?? []
  if (type !== undefined) {
    const before = definitions.get(definitionKey({ kind: 'type', name: unquoted(type) }))
    if (before) set(definitions, { ...before, text: `${before.text}, ${value}`, migration })
  }
  const [, altered, clauses] = /^ALTER TABLE (?:ONLY )?([\w."]+) ([\s\S]+)$/i.exec(statement) ?? []
  if (altered !== undefined) {
    for (const clause of parts(clauses!)) changeTable(definitions, unquoted(altered), clause, migration)
  }
  const [, kind, names] =
    /^DROP (TABLE|INDEX|FUNCTION|TYPE) (?:CONCURRENTLY )?(?:IF EXISTS )?([\s\S]+)$/i.exec(statement) ?? []
  if (kind !== undefined) {
    for (const name of parts(names!))
      drop(definitions, kind.toLowerCase() as Definition['kind'], first(/^([\w."]+)/, name)!)
  }
  const [, trigger, table] = /^DROP TRIGGER (?:IF EXISTS )?([\w"]+) ON ([\w."]+)/i.exec(statement) ?? []
  if (trigger !== undefined) drop(definitions, 'trigger', triggerName(unquoted(trigger), unquoted(table!)))
}

function changeTable(definitions: Definitions, table: string, clause: string, migration: string) {
  const added = /^ADD COLUMN (?:IF NOT EXISTS )?([\s\S]+)$/i.exec(clause)?.[1]
  const column = added && readColumn(table, added)
  if (column) set(definitions, { ...column, migration })
  const dropped = first(/^DROP COLUMN (?:IF EXISTS )?([\w"]+)/i, clause)
  if (dropped !== undefined) drop(definitions, 'column', `${table}.${dropped}`)
  const altered = first(/^ALTER COLUMN ([\w"]+)/i, clause)
  const before = definitions.get(definitionKey({ kind: 'column', name: `${table}.${altered}` }))
  if (before) set(definitions, { ...before, text: null, migration })
}

function drop(definitions: Definitions, kind: Definition['kind'], name: string) {
  for (const [key, each] of definitions) {
    const goesToo = kind === 'table' && each.table === name
    if ((each.kind === kind && each.name === name) || goesToo) definitions.delete(key)
  }
}

/**
 * The definition of an index or a trigger, for comparison. `pg_get_indexdef` and `pg_get_triggerdef` add casts, parentheses,
 * the schema and the method of the index; this removes them.
 */
export function normalized(statement: string, schema = 'public'): string {
  return statement
    .replaceAll('"', '')
    .replaceAll(new RegExp(`\\b(public|${schema.replace(/\W/g, '\\$&')})\\.`, 'g'), '')
    .replaceAll(/::(timestamp with time zone|[\w.]+(\[\])?)/g, '')
    .replace(/\bWHEN \(([\s\S]*)\)\s*EXECUTE/i, (_, condition) => `WHEN ${mentioned(condition)} EXECUTE`)
    .replaceAll(/\bUSING btree\b|[\s()]/gi, '')
    .toLowerCase()
    .replaceAll(/=anyarray\[([^\]]*)\]/g, 'in$1')
    .replaceAll(/<>allarray\[([^\]]*)\]/g, 'notin$1')
}

/** PostgreSQL rewrites the condition of a trigger, so only its columns and values are compared. */
function mentioned(condition: string): string {
  const found = condition.match(/\b(?:new|old)\.\w+|'(?:[^']|'')*'/gi) ?? []
  return [...new Set(found.map((each) => each.toLowerCase()))].sort().join(' ')
}

/** The statements of a text, each on one line, without comments. Text between dollar quotes stays as it is. */
function statements(sql: string): string[] {
  const tokens = sql.matchAll(
    /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"[^"]*"|\$(\w*)\$[\s\S]*?\$\1\$|\s+|;|[^\s;'"$/-]+|[\s\S]/g,
  )
  const found = ['']
  for (const [token] of tokens) {
    if (token === ';') found.push('')
    else if (token.startsWith('--') || token.startsWith('/*')) continue
    else found[found.length - 1] += /^\s+$/.test(token) ? ' ' : token
  }
  return found.map((statement) => statement.trim()).filter(Boolean)
}

/** Splits at commas, except in parentheses and quotes. */
function parts(list: string): string[] {
  const found = ['']
  let depth = 0
  for (const [token] of list.matchAll(/'(?:[^']|'')*'|"[^"]*"|[\s\S]/g)) {
    if (token === '(') depth++
    if (token === ')') depth--
    if (token === ',' && depth === 0) found.push('')
    else found[found.length - 1] += token
  }
  return found.map((part) => part.trim()).filter(Boolean)
}

function first(pattern: RegExp, text: string): string | undefined {
  const name = pattern.exec(text)?.[1]
  return name === undefined ? undefined : unquoted(name)
}

function unquoted(name: string): string {
  return name.replaceAll('"', '').replace(/^public\./, '')
}
