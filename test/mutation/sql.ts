/** A change of a source text: the characters from `start` to `end` become `text`. */
export interface Edit {
  start: number
  end: number
  text: string
}

/** A part of a statement. `depth` counts the parentheses, brackets and CASE … END around it. */
interface Token {
  kind: 'word' | 'operator' | 'value'
  text: string
  start: number
  end: number
  depth: number
}

const SQL = /\b(SELECT|UPDATE|DELETE FROM|WHERE|AND|OR|WHEN|EXISTS|IS NULL|IS NOT NULL|ORDER BY)\b|^\s*\w+ = /

/** Whether a text of the source code is a statement or a part of one. Prose has no such words in capitals. */
export function isSql(text: string): boolean {
  return SQL.test(text)
}

/**
 * The ways in which a statement, or a part of one, may be wrong and still run.
 *
 * @param source the text of the file
 * @param start where the SQL begins in it
 * @param expressions what a template literal inserts: each counts as one value
 */
export function sqlEdits(
  source: string,
  range: { start: number; end: number },
  expressions: { start: number; end: number }[],
): Edit[] {
  const tokens = tokenize(source, range, expressions)
  const assignments = assignmentsOf(tokens)
  const conditions = conditionsOf(tokens)
  return [
    ...conditions.flatMap(({ edits }) => edits),
    ...operatorEdits(tokens, assignments, conditions),
    ...assignmentEdits(tokens, assignments),
    ...clauseEdits(tokens),
    ...callEdits(source, tokens),
  ]
}

const TOKEN =
  /(?<comment>--[^\n]*)|(?<string>'(?:[^']|'')*'|"[^"]*")|(?<word>[A-Za-z_][\w.]*)|(?<value>\$\d+|\d[\d.e]*)|(?<operator>::|<=|>=|<>|\|\||->>?|#>>?|[-+*/<>=(),[\];~])/y

function tokenize(
  source: string,
  { start, end }: { start: number; end: number },
  expressions: { start: number; end: number }[],
): Token[] {
  // An expression becomes one word of the same length.
  let text = source.slice(start, end)
  for (const { start: from, end: to } of expressions) {
    text = text.slice(0, from - start) + 'x'.repeat(to - from) + text.slice(to - start)
  }
  const tokens: Token[] = []
  let depth = 0
  for (let at = 0; at < text.length; ) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    at = match ? TOKEN.lastIndex : at + 1
    if (!match || match.groups!.comment) continue
    const [token] = match
    if (token === ')' || token === ']' || token === 'END') depth--
    const kind = match.groups!.word ? 'word' : match.groups!.operator ? 'operator' : 'value'
    tokens.push({ kind, text: token, start: start + match.index, end: start + at, depth })
    if (token === '(' || token === '[' || token === 'CASE') depth++
  }
  return tokens
}

/** What ends a condition, on its own level. */
const BOUNDARIES = new Set(
  'AND OR WHERE ON HAVING WHEN THEN ELSE END CASE SELECT FROM SET ORDER GROUP LIMIT FOR RETURNING UNION EXCEPT JOIN LEFT USING AS DO VALUES ( ) [ ] ,'.split(
    ' ',
  ),
)

/** A part of a WHERE, ON or CASE, without the AND or OR around it. */
interface Condition {
  first: Token
  last: Token
  edits: Edit[]
}

/** Each condition of a list becomes TRUE in one with AND, FALSE in one with OR; each condition of a CASE becomes both. */
function conditionsOf(tokens: Token[]): Condition[] {
  return tokens.flatMap((token, i) => {
    const begins =
      i === 0 || (isBoundary(tokens, i - 1) && tokens[i - 1]!.depth <= token.depth && tokens[i - 1]!.text !== ')')
    if (!begins || (isBoundary(tokens, i) && token.text !== '(')) return []
    const before = tokens[i - 1]?.text
    if (before === 'ON' && token.text === 'CONFLICT') return []
    const end = endOfSegment(tokens, i)
    const last = tokens[end]!
    const texts = replacements(before, tokens[end + 1]?.text)
    const edits = texts.map((text) => ({ start: token.start, end: last.end, text }))
    return texts.length > 0 ? [{ first: token, last, edits }] : []
  })
}

function replacements(before = '', after = ''): string[] {
  if (before === 'WHEN' && after === 'THEN') return ['TRUE', 'FALSE']
  if (before === 'OR' || after === 'OR') return ['FALSE']
  return /^(AND|WHERE|ON|HAVING|WHEN)$/.test(before) || after === 'AND' ? ['TRUE'] : []
}

function isBoundary(tokens: Token[], i: number): boolean {
  const { text, depth } = tokens[i]!
  if (text === 'FROM') return tokens[i - 1]?.text !== 'DISTINCT'
  if (text !== 'AND') return BOUNDARIES.has(text)
  // The AND of BETWEEN x AND y.
  for (let k = i - 1; k >= 0 && tokens[k]!.depth >= depth; k--) {
    if (tokens[k]!.depth > depth) continue
    if (tokens[k]!.text === 'BETWEEN') return false
    if (BOUNDARIES.has(tokens[k]!.text) && !isClosing(tokens[k]!)) return true
  }
  return true
}

function isClosing({ text }: Token): boolean {
  return text === ')' || text === ']' || text === 'END' || text === '(' || text === '[' || text === 'CASE'
}

/** The index of the last token before the next boundary on the same level. */
function endOfSegment(tokens: Token[], from: number): number {
  const { depth } = tokens[from]!
  let i = from
  while (i + 1 < tokens.length) {
    const next = tokens[i + 1]!
    if (next.depth < depth) break
    if (next.depth === depth && isBoundary(tokens, i + 1) && !isClosing(next)) break
    i++
  }
  return i
}

const OPERATORS: Record<string, string> = { '<=': '<', '<': '<=', '>=': '>', '>': '>=', '<>': '=', '=': '<>' }

/**
 * Changes operators. A condition that becomes TRUE or FALSE is not also negated, nor is the AND before it changed: a test that notices the
 * one notices the other.
 */
function operatorEdits(tokens: Token[], assignments: Assignment[], conditions: Condition[]): Edit[] {
  return tokens.flatMap((token, i) => {
    const { start, end, text, depth } = token
    const next = tokens[i + 1]
    if (assignments.some(({ equals }) => equals === token)) return []
    if (/^[<>]=?$/.test(text)) return [{ start, end, text: OPERATORS[text]! }]
    if ((text === '+' || text === '-') && isOperand(tokens[i - 1])) {
      return [{ start, end, text: text === '+' ? '-' : '+' }]
    }
    const isReplaced = conditions.some(
      ({ first, last }) => first.start <= start && end <= last.end && first.depth === depth,
    )
    if (isReplaced) return []
    if (OPERATORS[text]) return [{ start, end, text: OPERATORS[text] }]
    if (text === 'NOT') return [{ start, end: next!.start, text: '' }]
    if (text === 'IS' && next?.text !== 'NOT') return [{ start, end, text: 'IS NOT' }]
    return []
  })
}

function isOperand(token: Token | undefined): boolean {
  return (
    token !== undefined &&
    (token.kind !== 'operator' || token.text === ')') &&
    !BOUNDARIES.has(token.text.replace(')', ''))
  )
}

interface Assignment {
  equals: Token
  /** The first and the last token. */
  from: number
  to: number
}

/** The assignments of SET, and of a fragment that is a list of them. */
function assignmentsOf(tokens: Token[]): Assignment[] {
  const found: Assignment[] = []
  const isList = tokens[1]?.text === '=' && !tokens.some(({ text, depth }) => depth === 0 && /^(AND|OR)$/.test(text))
  const starts = tokens.flatMap(({ text }, i) => (text === 'SET' ? [i + 1] : []))
  if (isList) starts.push(0)
  for (const start of starts) {
    for (let from = start; tokens[from + 1]?.text === '='; ) {
      const to = endOfAssignment(tokens, from)
      found.push({ equals: tokens[from + 1]!, from, to })
      if (tokens[to + 1]?.text !== ',') break
      from = to + 2
    }
  }
  return found
}

function endOfAssignment(tokens: Token[], from: number): number {
  const { depth } = tokens[from]!
  let i = from
  while (i + 1 < tokens.length) {
    const { text, depth: next } = tokens[i + 1]!
    if (next < depth || (next === depth && /^(,|WHERE|FROM|RETURNING)$/.test(text))) break
    i++
  }
  return i
}

/** Removes each assignment but those of `updated_at`, which is information for people. */
function assignmentEdits(tokens: Token[], assignments: Assignment[]): Edit[] {
  return assignments.flatMap(({ from, to }) => {
    if (tokens[from]!.text === 'updated_at') return []
    if (tokens[to + 1]?.text === ',') return [{ start: tokens[from]!.start, end: tokens[to + 2]!.start, text: '' }]
    if (tokens[from - 1]?.text === ',') return [{ start: tokens[from - 1]!.start, end: tokens[to]!.end, text: '' }]
    return []
  })
}

/** Removes locks, orders and limits. */
function clauseEdits(tokens: Token[]): Edit[] {
  return tokens.flatMap((token, i) => {
    const { text, start } = token
    const removed = (last: number) => ({ start, end: tokens[last]!.end, text: '' })
    const next = tokens[i + 1]?.text
    if (text === 'SKIP' && next === 'LOCKED') return [removed(i + 1)]
    if (text === 'FOR' && (next === 'UPDATE' || next === 'NO' || next === 'SHARE'))
      return [removed(endOfClause(tokens, i))]
    if (text === 'ORDER' && next === 'BY') return [removed(endOfClause(tokens, i))]
    if (text === 'LIMIT' || text === 'DISTINCT' || text === 'DESC') {
      return next === 'FROM' && text === 'DISTINCT' ? [] : [removed(text === 'LIMIT' ? i + 1 : i)]
    }
    if (text === 'LEFT' && next === 'JOIN') return [removed(i)]
    return []
  })
}

function endOfClause(tokens: Token[], from: number): number {
  const { depth } = tokens[from]!
  let i = from
  while (i + 1 < tokens.length) {
    const { text, depth: next } = tokens[i + 1]!
    if (next < depth || (next === depth && /^(LIMIT|FOR|RETURNING|ON|UNION|\))$/.test(text))) break
    i++
  }
  return i
}

const OPPOSITES: Record<string, string> = { least: 'greatest', greatest: 'least', min: 'max', max: 'min' }

/** `least` becomes `greatest`; `coalesce` becomes its first argument, and its last. */
function callEdits(source: string, tokens: Token[]): Edit[] {
  return tokens.flatMap(({ text, start, end, depth }, i): Edit[] => {
    if (tokens[i + 1]?.text !== '(') return []
    if (OPPOSITES[text]) return [{ start, end, text: OPPOSITES[text] }]
    if (text !== 'coalesce') return []
    const close = tokens.findIndex((token, k) => k > i + 1 && token.depth === depth && token.text === ')')
    const commas = tokens.filter((token, k) => k > i && k < close && token.depth === depth + 1 && token.text === ',')
    const whole = { start, end: tokens[close]!.end }
    const first = source.slice(tokens[i + 1]!.end, commas[0]!.start)
    const last = source.slice(commas.at(-1)!.end, tokens[close]!.start)
    return [first, last].map((argument) => ({ ...whole, text: `(${argument.trim()})` }))
  })
}
