import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A value of the host that is its PrismaClient. */
export interface ClientExport {
  path: string
  /** `default`, or what it is exported as. */
  name: string
}

const SKIPPED = /^(\..*|node_modules|dist|build|out|coverage|generated)$/
const SOURCE = /(?<!\.d|\.test|\.spec)\.[cm]?[jt]sx?$/

/** Every exported PrismaClient of the host, found by reading its sources: nothing is run, no compiler is needed. */
export function findClients(root: string, folder = ''): ClientExport[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => !SKIPPED.test(entry.name))
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = folder ? `${folder}/${entry.name}` : entry.name
      if (entry.isDirectory()) return findClients(root, path)
      if (!entry.isFile() || !SOURCE.test(entry.name)) return []
      return clientExports(readFileSync(join(root, path), 'utf8')).map((name) => ({ path, name }))
    })
}

/**
 * The names under which a module exports a PrismaClient. It follows `new PrismaClient`, classes that extend it, what is
 * annotated with it, and whatever is made from one of those by name, `$extends` or a factory of the same module.
 */
export function clientExports(source: string): string[] {
  if (!source.includes('PrismaClient')) return []
  const code = withoutCommentsAndStrings(source)
  const statements = topLevelStatements(code)
  const clients = clientDeclarations(statements)
  const exported = new Map<string, string>() // by the value, so that one client with two names counts once
  const add = (value: string, name: string) => exported.has(value) || exported.set(value, name)

  for (const { declared, exports } of clients) if (exports && declared) add(declared, declared)
  const values = new Set(clients.filter((client) => client.isValue).map((client) => client.declared))
  for (const statement of statements) {
    for (const [value, name] of listedExports(statement)) if (values.has(value)) add(value, name)
    const expression = /^export\s+default\s+(?!function|class|async)([^]*)$/.exec(statement)?.[1]?.trim()
    if (expression === undefined) continue
    const identifier = expression.replace(/;$/, '')
    if (values.has(identifier)) add(identifier, 'default')
    else if (makesClient(expression, new Set(clients.map((client) => client.declared)))) add(expression, 'default')
  }
  return [...exported.values()]
}

interface ClientDeclaration {
  declared: string
  exports: boolean
  isValue: boolean
}

/** The declarations that are a client, or make one, directly or through each other. */
function clientDeclarations(statements: string[]): ClientDeclaration[] {
  const found = new Map<string, ClientDeclaration>()
  for (let before = -1; before < found.size; ) {
    before = found.size
    for (const statement of statements) {
      const match = DECLARATION.exec(statement)
      if (!match) continue
      const [head, exports, kind, declared] = match as unknown as [string, string?, string?, string?]
      const rest = statement.slice(head.length)
      if (!declared || !makesClient(rest, new Set(found.keys()))) continue
      const isValue = /^(const|let|var)$/.test(kind!) && !isFunction(rest)
      found.set(declared, { declared, exports: exports !== undefined && isValue, isValue })
    }
  }
  return [...found.values()]
}

const DECLARATION =
  /^(export\s+)?(?:default\s+)?(const|let|var|(?:async\s+)?function\s*\*?|(?:abstract\s+)?class)\s+([A-Za-z_$][\w$]*)/

function makesClient(code: string, makers: Set<string>): boolean {
  if (/\bnew\s+(\w+\.)?PrismaClient\b|\bextends\s+(\w+\.)?PrismaClient\b|^\s*:\s*(\w+\.)?PrismaClient\b/.test(code))
    return true
  // `prisma.user.findMany()` uses a client; `prisma`, `prisma.$extends(…)` and `createPrisma()` are one.
  return [...makers].some((name) =>
    new RegExp(`(?<![\\w$.])${escaped(name)}(?![\\w$])(?!\\s*\\.(?!\\s*\\$extends))`).test(code),
  )
}

function isFunction(initializer: string): boolean {
  return /^[^=]*=\s*(async\s+)?(function\b|\([^()]*\)\s*(:[^=]+)?=>|[\w$]+\s*=>)/.test(initializer)
}

/** `export { a, b as c }`, as [value, exported name]. */
function listedExports(statement: string): [string, string][] {
  const match = /^export\s*\{([^}]*)\}(?!\s*from)/.exec(statement)
  if (!match) return []
  return match[1]!
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item && !item.startsWith('type '))
    .map((item) => {
      const [value, name] = item.split(/\s+as\s+/)
      return [value!, name ?? value!]
    })
}

function topLevelStatements(code: string): string[] {
  const starts: number[] = []
  let depth = 0
  let lineStart = true
  for (let i = 0; i < code.length; i++) {
    if (
      lineStart &&
      depth === 0 &&
      /^(export|import|const|let|var|function|async|class|abstract|type|interface|declare|enum|if|for|try)\b/.test(
        code.slice(i, i + 12),
      )
    ) {
      starts.push(i)
    }
    const char = code[i]!
    if ('([{'.includes(char)) depth++
    if (')]}'.includes(char)) depth--
    lineStart = char === '\n' || char === ';' || (lineStart && /\s/.test(char))
  }
  return starts.map((start, i) => code.slice(start, starts[i + 1]).trim())
}

/** Comments and the insides of strings, blanked out: what is left of them cannot be taken for code. */
function withoutCommentsAndStrings(source: string): string {
  return source.replace(
    /\/\*[^]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g,
    (token) => (token.startsWith('/') ? ' ' : `${token[0]}${token[0]}`),
  )
}

const escaped = (name: string) => name.replaceAll('$', '\\$')
