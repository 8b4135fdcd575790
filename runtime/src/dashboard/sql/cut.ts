// Rows may hold megabytes. What a page shows is cut here, before it reaches the process.

/** A text column, or an expression of type text, of at most so many characters. */
export function cut(expression: string, length: number): string {
  return `left(${expression}, ${length})`
}

/** The JSON that a call was given or returned, without the types that JSON does not have: see core/serialize.ts. */
export function plainJson(column: string): string {
  return `CASE
      WHEN jsonb_typeof(${column}) = 'object' AND ${column} ? 'json' AND ${column} ? 'meta' THEN ${column} -> 'json'
      ELSE ${column}
    END`
}

/** The beginning of a small jsonb column as text; null for a large one, which would have to be read as a whole. */
export function preview(column: string, length: number): string {
  return `CASE WHEN pg_column_size(${column}) <= ${MAX_PREVIEWED} THEN ${cut(`(${plainJson(column)})::text`, length)} END`
}

/** The largest column that a list reads, in bytes as stored. */
const MAX_PREVIEWED = 4096
