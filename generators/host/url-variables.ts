import { type Node, walk } from './source-modules.js'

/** What the database's URL is in, where nothing says otherwise. */
export const DATABASE_URL = 'DATABASE_URL'

/** Of the names of variables, those that look like the URL of a database. */
const URL_NAME = /(DATABASE|POSTGRES|PG|DB|SQL|PRISMA|NEON|SUPABASE|DIRECT)\w*(URL|URI|DSN)\w*|CONNECTION_STRING/

/**
 * The environment variables that a program takes the database's URL from: several where one stands in for another
 * (`process.env.A ?? process.env.B`), none where it takes it from elsewhere.
 */
export function urlVariablesIn(program: unknown): string[] {
  const given = connectionStrings(program).map((node) => variablesIn(node, program))
  const first = given.find((names) => names.length > 0)
  if (first) return first
  return variablesIn(program, null)
    .filter((name) => URL_NAME.test(name))
    .slice(0, 1)
}

/** The variables of `datasource.url` in a prisma.config. */
export function configuredUrlVariables(program: unknown): string[] {
  let found: string[] = []
  walk(program, (node) => {
    if (node.type === 'Property' && nameOf(node.key) === 'datasource')
      for (const each of node.value.properties ?? [])
        if (each.type === 'Property' && nameOf(each.key) === 'url') found = variablesIn(each.value, program)
    return true
  })
  return found
}

/** `connectionString` of whatever takes one, and the first argument of an adapter. */
function connectionStrings(program: unknown): Node[] {
  const found: Node[] = []
  walk(program, (node) => {
    if (node.type === 'Property' && nameOf(node.key) === 'connectionString') found.push(node.value)
    if (
      node.type === 'NewExpression' &&
      /^(Prisma[A-Z]\w*|Pool)$/.test(node.callee.name ?? '') &&
      node.callee.name !== 'PrismaClient'
    )
      found.push(...node.arguments.filter(({ type }: Node) => type !== 'ObjectExpression'))
    return true
  })
  return found
}

/** `X` of `process.env.X`, `env.X`, `env['X']`, `env('X')` and `config.get('X')` in an expression, in order. */
function variablesIn(expression: unknown, program: unknown): string[] {
  const names: string[] = []
  walk(expression, (node) => {
    // Accelerate's URL leads to Prisma's service.
    if (node.type === 'Property' && nameOf(node.key) === 'accelerateUrl') return false
    if (node.type === 'Identifier' && node === expression) {
      const declared = program && initializerOf(node.name, program)
      if (declared) names.push(...variablesIn(declared, null))
    }
    if (node.type === 'MemberExpression' && /^env$/i.test(nameOf(node.object.property ?? node.object) ?? ''))
      names.push(node.computed ? node.property.value : node.property.name)
    if (
      node.type === 'CallExpression' &&
      /^(env|get|getOrThrow)$/.test(nameOf(node.callee.property ?? node.callee) ?? '')
    )
      names.push(node.arguments[0]?.value)
    return true
  })
  return [...new Set(names.filter((name) => typeof name === 'string' && /^[A-Z][A-Z0-9_]*$/.test(name)))]
}

function initializerOf(name: string, program: unknown): Node | undefined {
  let found: Node | undefined
  walk(program, (node) => {
    if (node.type === 'VariableDeclarator' && node.id.name === name) found = node.init
    return true
  })
  return found
}

function nameOf(node: Node): string | undefined {
  return node.name ?? (typeof node.value === 'string' ? node.value : undefined)
}
