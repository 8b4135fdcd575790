import { type Node, walk } from './source-modules.js'

/** The default environment variable of the database URL. */
export const DATABASE_URL = 'DATABASE_URL'

/** Names of environment variables that look like a database URL. */
const URL_NAME = /(DATABASE|POSTGRES|PG|DB|SQL|PRISMA|NEON|SUPABASE|DIRECT)\w*(URL|URI|DSN)\w*|CONNECTION_STRING/

/** Names of URLs of other databases: read replicas, and the shadow database of Prisma Migrate. */
const OTHER_DATABASE = /REPLICA|READ_?ONLY|SHADOW/

/**
 * The environment variables from which a program reads the database URL. Several for `process.env.A ?? process.env.B`; none
 * if the URL comes from elsewhere, or is composed of parts.
 */
export function urlVariablesIn(program: unknown): string[] {
  const given = connectionStrings(program)
  const named = given.map((node) => variablesOf(node, program)).find((names) => names.length > 0)
  if (named || given.length > 0) return named ?? []
  return variablesBelow(program)
    .filter((name) => URL_NAME.test(name) && !OTHER_DATABASE.test(name))
    .slice(0, 1)
}

/** Whether a program passes the URL to the client or to its adapter, in any form. */
export function passesUrl(program: unknown): boolean {
  return connectionStrings(program).length > 0
}

/** The variables of `datasource.url` in a prisma.config. */
export function configuredUrlVariables(program: unknown): string[] {
  let found: string[] = []
  walk(program, (node) => {
    if (node.type === 'Property' && nameOf(node.key) === 'datasource')
      for (const each of node.value.properties ?? [])
        if (each.type === 'Property' && nameOf(each.key) === 'url') found = variablesOf(each.value, program)
    return true
  })
  return found
}

/** Every `connectionString` and `datasourceUrl`, and the first argument of an adapter or a pool if that is not an object. */
function connectionStrings(program: unknown): Node[] {
  const found: Node[] = []
  walk(program, (node) => {
    const isUrl = node.type === 'Property' && /^(connectionString|datasourceUrl)$/.test(nameOf(node.key) ?? '')
    if (isUrl) found.push(node.value)
    const [first] = node.type === 'NewExpression' && ADAPTER.test(node.callee.name ?? '') ? node.arguments : []
    if (first && !/^(ObjectExpression|NewExpression)$/.test(first.type)) found.push(first)
    return true
  })
  return found
}

const ADAPTER = /^(Prisma(?!Client)[A-Z]\w*|Pool)$/

/** The variables whose value an expression can have, in their order of precedence. */
function variablesOf(node: Node, program: unknown, depth = 0): string[] {
  if (depth > 5) return []
  const inner = (each: Node) => variablesOf(each, program, depth + 1)
  switch (node.type) {
    case 'LogicalExpression':
      return [...new Set([...inner(node.left), ...inner(node.right)])]
    case 'ConditionalExpression':
      return [...new Set([...inner(node.consequent), ...inner(node.alternate)])]
    case 'Identifier': {
      const declared = initializerOf(node.name, program)
      return declared ? inner(declared) : []
    }
    case 'TemplateLiteral': {
      const isWhole = node.expressions.length === 1 && node.quasis.every((each: Node) => each.value.raw === '')
      return isWhole ? inner(node.expressions[0]) : []
    }
    case 'CallExpression': {
      const [first, second] = node.arguments
      if (!first || (second && second.type !== 'ObjectExpression')) return []
      return first.type === 'Literal' && isVariable(first.value) ? [first.value] : inner(first)
    }
    case 'MemberExpression':
      return variableOf(node)
  }
  return node.expression ? inner(node.expression) : []
}

/** Every variable under a node. */
function variablesBelow(program: unknown): string[] {
  const names: string[] = []
  walk(program, (node) => {
    // The URL of Accelerate is not the URL of the database.
    if (node.type === 'Property' && nameOf(node.key) === 'accelerateUrl') return false
    if (node.type === 'MemberExpression') names.push(...variableOf(node))
    const isRead = node.type === 'CallExpression' && READ.test(nameOf(node.callee.property ?? node.callee) ?? '')
    if (isRead && isVariable(node.arguments[0]?.value)) names.push(node.arguments[0].value)
    return true
  })
  return names
}

const READ = /^(env|get|getOrThrow)$/

/** `X` of `process.env.X`, `env.X` and `env['X']`. */
function variableOf({ object, property, computed }: Node): string[] {
  const name = computed ? property.value : property.name
  return /^env$/i.test(nameOf(object.property ?? object) ?? '') && isVariable(name) ? [name] : []
}

function isVariable(name: unknown): name is string {
  return typeof name === 'string' && /^[A-Z][A-Z0-9_]*$/.test(name)
}

function initializerOf(name: string, program: unknown): Node | undefined {
  let found: Node | undefined
  walk(program, (node) => {
    if (node.type === 'VariableDeclarator' && node.id.name === name) found = node.init ?? found
    return true
  })
  return found
}

function nameOf(node: Node): string | undefined {
  return node.name ?? (typeof node.value === 'string' ? node.value : undefined)
}
