import { parseSync } from 'oxc-parser'
import { type Edit, isSql, sqlEdits } from './sql.js'

/** One change of a file that a test should notice. */
export interface Mutant extends Edit {
  line: number
  /** The units that have to run for the change to matter: the function or the statement around it, or those that use the constant. */
  units: number[]
}

/** A part of a file whose runs are recorded: a function, or a property of a statement, which is read whenever the statement is sent. */
interface Unit extends Range {
  kind: 'block' | 'expression' | { getter: string }
  /** What changes can be in: the body of a function, the value of a property. */
  body: Range
}

interface Range {
  start: number
  end: number
}

/** A constant of the module that is evaluated again when another mutant begins. */
interface Constant extends Range {
  name: string
  /** The word `const`. */
  keyword: Range
  value: Range
}

// biome-ignore lint/suspicious/noExplicitAny: the nodes of a syntax tree are read by their type
type Node = any

/** The changes of a file, in its order. What runs once, when the module is loaded or an object is made, is not changed. */
export function mutantsOf(source: string, file: string): Mutant[] {
  const { program } = parseSync(file, source)
  const units = unitsOf(program)
  const constants = constantsOf(program)
  const edits: Edit[] = []
  // What is replaced by true and false, or by another condition, is not also negated: a test that notices the one notices the other.
  const replaced = new Set<Node>()
  walk(program, (node) => {
    for (const part of replacedParts(node)) replaced.add(part)
    if (!replaced.has(node) || !isNegatable(node)) edits.push(...editsOf(source, node))
  })
  return edits
    .map((edit) => ({
      ...edit,
      line: source.slice(0, edit.start).split('\n').length,
      units: unitsAround(source, units, constants, edit),
    }))
    .filter((mutant) => mutant.units.length > 0)
    .sort((a, b) => a.start - b.start || a.end - b.end)
}

/**
 * The text of a file that behaves as the mutant whose number `globalThis.mutant` is, and calls `globalThis.covered(file, unit)` whenever a
 * unit runs.
 *
 * @param mutants the changes of the file by their numbers
 */
export function switchable(source: string, file: string, mutants: ReadonlyMap<number, Mutant>): string {
  const { program } = parseSync(file, source)
  const units = unitsOf(program)
  const constants = constantsOf(program)
  const within = (range: Range) => [...mutants].filter(([, mutant]) => contains(range, mutant))
  const edits: Edit[] = []

  /** A part of the source with its units replaced, or with one change and as it is otherwise. */
  const text = (range: Range, edits: Edit[]) => {
    const inside = edits.filter((edit) => contains(range, edit))
    return applyEdits(
      source.slice(range.start, range.end),
      inside.map((edit) => moved(edit, -range.start)),
    )
  }
  // The inner units come first, so that the outer ones contain their replacement.
  for (const [i, unit] of [...units.entries()].reverse()) {
    const { body, kind } = unit
    const own = within(body).filter(([, mutant]) => isInnermost(units, unit, mutant))
    const record = `globalThis.covered?.(${JSON.stringify(file)}, ${i})`
    const variants = own.map(([number, mutant]) => ({ number, text: text(body, [mutant]) }))
    const original = text(body, edits)
    const replaced = `${variants.map((each) => `globalThis.mutant === ${each.number} ? ${each.text} : `).join('')}${original}`
    const inside = edits.filter((edit) => contains(unit, edit))
    for (const edit of inside) if (contains(body, edit)) edits.splice(edits.indexOf(edit), 1)
    if (kind === 'block') {
      const branches = variants.map((each) => `if (globalThis.mutant === ${each.number}) ${each.text} else `).join('')
      edits.push({ ...body, text: `{ ${record}; ${branches}${original} }` })
    } else if (kind === 'expression') edits.push({ ...body, text: `(${record}, ${replaced})` })
    else
      edits.push({ start: unit.start, end: unit.end, text: `get ${kind.getter}() { ${record}; return ${replaced} }` })
  }
  for (const { name, keyword, value, end } of constants) {
    const own = within(value).filter(([, mutant]) => !units.some((unit) => contains(unit.body, mutant)))
    if (own.length === 0) continue
    const branches = own.map(([number, mutant]) => `globalThis.mutant === ${number} ? ${text(value, [mutant])} : `)
    edits.push({ ...keyword, text: 'let' })
    edits.push({
      start: end,
      end,
      text: `; globalThis.onMutant?.(() => { ${name} = ${branches.join('')}${text(value, edits)} })\n`,
    })
  }
  return applyEdits(source, edits)
}

/** Applies edits that do not overlap. */
export function applyEdits(source: string, edits: Edit[]): string {
  let text = source
  for (const { start, end, text: inserted } of edits.toSorted((a, b) => b.start - a.start || b.end - a.end)) {
    text = text.slice(0, start) + inserted + text.slice(end)
  }
  return text
}

function moved({ start, end, text }: Edit, by: number): Edit {
  return { start: start + by, end: end + by, text }
}

function unitsOf(program: Node): Unit[] {
  const units: Unit[] = []
  walk(program, (node, parent) => {
    const { start, end } = node
    if (isFunction(node) && parent?.kind !== 'constructor') {
      const { body } = node
      const kind = body.type === 'BlockStatement' ? 'block' : 'expression'
      units.push({ start, end, kind, body: { start: body.start, end: body.end } })
    } else if (isPartOfStatement(node, parent)) {
      const { key, value } = node
      units.push({ start, end, kind: { getter: key.name }, body: { start: value.start, end: value.end } })
    }
  })
  return units
}

function isFunction({ type, body }: Node): boolean {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(type) && body
}

/** A property of a statement: its text, or how it is sent. */
function isPartOfStatement({ type, key, value, shorthand }: Node, parent: Node): boolean {
  if (type !== 'Property' || shorthand || !/Literal$/.test(value.type) || key.name === 'name') return false
  return parent.properties.some((property: Node) => property.key?.name === 'text')
}

function isInnermost(units: Unit[], unit: Unit, edit: Edit): boolean {
  return !units.some((other) => other !== unit && contains(unit.body, other) && contains(other, edit))
}

/** The constants that are texts, or objects of texts. */
function constantsOf(program: Node): Constant[] {
  return program.body.flatMap((statement: Node) => {
    const declared = statement.type === 'VariableDeclaration' ? statement : statement.declaration
    if (declared?.kind !== 'const') return []
    const [{ id, init }] = declared.declarations
    if (!/^(TemplateLiteral|Literal|ObjectExpression)$/.test(init?.type)) return []
    const keyword = { start: declared.start, end: declared.start + 'const'.length }
    return [
      { name: id.name, keyword, value: { start: init.start, end: init.end }, start: declared.start, end: declared.end },
    ]
  })
}

function unitsAround(source: string, units: Unit[], constants: Constant[], edit: Edit): number[] {
  const around = units.flatMap((unit, i) => (contains(unit, edit) ? [i] : [])).at(-1)
  if (around !== undefined) return contains(units[around]!.body, edit) ? [around] : []
  const constant = constants.find(({ value }) => contains(value, edit))
  if (!constant) return []
  const name = new RegExp(`\\b${constant.name}\\b`)
  return units.flatMap((unit, i) => (name.test(source.slice(unit.start, unit.end)) ? [i] : []))
}

function contains(outer: Range, inner: Range): boolean {
  return outer.start <= inner.start && inner.end <= outer.end
}

/** Visits the nodes that run: no types, no imports. */
function walk(node: Node, visit: (node: Node, parent?: Node) => void, parent?: Node): void {
  if (Array.isArray(node)) for (const each of node) walk(each, visit, parent)
  const type: unknown = node?.type
  if (typeof type !== 'string' || type === 'ImportDeclaration') return
  if (type.startsWith('TS')) {
    if (/^TS(As|Satisfies|NonNull)Expression$/.test(type)) walk(node.expression, visit, parent)
    return
  }
  visit(node, parent)
  for (const value of Object.values(node)) if (value && typeof value === 'object') walk(value, visit, node)
}

const COMPARISONS: Record<string, string> = {
  '===': '!==',
  '!==': '===',
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
}

const METHODS = new Map([
  ['some', 'every'],
  ['every', 'some'],
  ['min', 'max'],
  ['max', 'min'],
])

function replacedParts({ type, test, left, right, argument, operator }: Node): Node[] {
  if (test) return [test]
  if (type === 'LogicalExpression') return [left, right]
  return type === 'UnaryExpression' && operator === '!' ? [argument] : []
}

function isNegatable({ type, operator }: Node): boolean {
  return /^[!=]==?$|^!$/.test(operator ?? '') && /^(Binary|Unary)Expression$/.test(type)
}

/** The ways in which the code of a node may be wrong and still run. */
function editsOf(source: string, node: Node): Edit[] {
  const text = ({ start, end }: Range) => source.slice(start, end)
  const replace = ({ start, end }: Range, by: string) => ({ start, end, text: by })
  switch (node.type) {
    case 'IfStatement':
    case 'ConditionalExpression':
      return [replace(node.test, 'true'), replace(node.test, 'false')]
    case 'WhileStatement':
    case 'ForStatement':
      return node.test ? [replace(node.test, 'false')] : []
    case 'LogicalExpression':
      return [replace(node, text(node.left)), replace(node, text(node.right))]
    case 'BinaryExpression':
      return binaryEdits(source, node)
    case 'UnaryExpression':
      return node.operator === '!' ? [replace(node, text(node.argument))] : []
    case 'UpdateExpression':
      return [
        replace(
          node,
          text(node).replace(/\+\+|--/, (sign) => (sign === '++' ? '--' : '++')),
        ),
      ]
    case 'ExpressionStatement':
      return /^(await )?super\b|^'/.test(text(node)) && !node.expression.argument ? [] : [replace(node, ';')]
    case 'Literal':
      if (typeof node.value === 'boolean') return [replace(node, String(!node.value))]
      if (typeof node.value !== 'string' || !isSql(node.value)) return []
      return sqlEdits(source, { start: node.start + 1, end: node.end - 1 }, [])
    case 'TemplateLiteral': {
      const sql = { start: node.start + 1, end: node.end - 1 }
      if (!isSql(text(sql))) return []
      const inserted = node.expressions.map(({ start, end }: Node) => ({
        start: source.lastIndexOf('${', start),
        end: source.indexOf('}', end) + 1,
      }))
      return sqlEdits(source, sql, inserted)
    }
    case 'CallExpression':
      return callEdits(node)
    default:
      return []
  }
}

function binaryEdits(source: string, { left, right, operator }: Node): Edit[] {
  const between = source.slice(left.end, right.start)
  const at = left.end + between.indexOf(operator)
  const swap = (by: string) => [{ start: at, end: at + operator.length, text: by }]
  if (COMPARISONS[operator]) return swap(COMPARISONS[operator])
  if (operator === '-') return swap('+')
  const isText = [left, right].some(({ type, value }) => type === 'TemplateLiteral' || typeof value === 'string')
  return operator === '+' && !isText ? swap('-') : []
}

function callEdits({ callee, arguments: values, end }: Node): Edit[] {
  if (callee.type !== 'MemberExpression' || callee.computed) return []
  const { object, property } = callee
  const { name } = property
  if (/^(filter|sort|toSorted|reverse|catch|finally)$/.test(name) && values.length < 2) {
    return [{ start: object.end, end, text: '' }]
  }
  const opposite = METHODS.get(name)
  return opposite ? [{ start: property.start, end: property.end, text: opposite }] : []
}
