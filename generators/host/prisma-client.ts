import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A value of the host that is its PrismaClient. */
export interface ClientExport {
  /** A file of the host, or the name of a module: `src/db.ts`, `@acme/db`. */
  path: string
  /** `default`, or what it is exported as. */
  name: string
}

/** `@acme/db`, `@/lib/db`, `#db`: what is imported as it is written. */
export function isModuleName(path: string): boolean {
  return !/\.[cm]?[jt]sx?$/.test(path)
}

const SKIPPED_FOLDER = /^(\..*|node_modules|dist|build|out|coverage|generated)$/
const SOURCE = /(?<!\.d|\.test|\.spec)\.[cm]?[jt]sx?$/

/** Every exported PrismaClient of the host, found by reading its sources: nothing is run, no compiler is needed. */
export function findClients(root: string): ClientExport[] {
  return sources(root).flatMap((path) =>
    clientExports(readFileSync(join(root, path), 'utf8')).map((name) => ({ path, name })),
  )
}

/** The modules that make a PrismaClient, exported or not. */
export function clientMakersIn(root: string): string[] {
  return sources(root).filter((path) =>
    /\bnew\s+(\w+\.)?PrismaClient\b/.test(withoutCommentsAndStrings(readFileSync(join(root, path), 'utf8'))),
  )
}

function sources(root: string, folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = folder ? `${folder}/${entry.name}` : entry.name
      if (entry.isDirectory()) return SKIPPED_FOLDER.test(entry.name) ? [] : sources(root, path)
      return entry.isFile() && SOURCE.test(entry.name) ? [path] : []
    })
}

/**
 * The names under which a module exports a PrismaClient. It follows `new PrismaClient`, classes that extend it, what is
 * annotated with it, and whatever is made from one of those: by name, by `$extends`, by a factory of the same module.
 */
export function clientExports(source: string): string[] {
  if (!source.includes('PrismaClient')) return []
  const statements = topLevelStatements(withoutCommentsAndStrings(source))
  const makers = clientMakers(statements)
  const exported = statements.flatMap((statement) => exportsOf(statement, makers))
  const names = new Map<string, string>() // one client under two names is one client
  for (const { value, name } of exported) if (!names.has(value) || name === 'prisma') names.set(value, name)
  return [...names.values()]
}

/** What a declared name of the module is: a client, or a function or class that makes one. */
type Makers = Map<string, 'client' | 'factory'>

function clientMakers(statements: string[]): Makers {
  const makers: Makers = new Map()
  for (let known = -1; known < makers.size; ) {
    known = makers.size
    for (const statement of statements) {
      const declaration = declarationIn(statement)
      if (!declaration || !makesClient(declaration.rest, makers)) continue
      const isValue = /^(const|let|var)$/.test(declaration.keyword) && !isFunction(declaration.rest)
      makers.set(declaration.name, isValue ? 'client' : 'factory')
    }
  }
  return makers
}

function exportsOf(statement: string, makers: Makers): { value: string; name: string }[] {
  const isClient = ({ value }: { value: string }) => makers.get(value) === 'client'
  const declaration = declarationIn(statement)
  if (declaration) {
    return declaration.exported ? [{ value: declaration.name, name: declaration.name }].filter(isClient) : []
  }
  const list = /^export\s*\{([^}]*)\}(?!\s*from)/.exec(statement)?.[1]
  if (list !== undefined) return listedExports(list).filter(isClient)

  const value = /^export\s+default\s+([\s\S]+?);?$/.exec(statement)?.[1]
  // An object that has a client among other things is none.
  if (value === undefined || value.startsWith('{') || !makesClient(value, makers) || makers.get(value) === 'factory')
    return []
  return [{ value, name: 'default' }]
}

function declarationIn(statement: string) {
  const match =
    /^(export\s+)?(?:default\s+)?(const|let|var|(?:async\s+)?function\s*\*?|(?:abstract\s+)?class)\s+([A-Za-z_$][\w$]*)/.exec(
      statement,
    )
  if (!match) return null
  return {
    exported: match[1] !== undefined,
    keyword: match[2]!,
    name: match[3]!,
    rest: statement.slice(match[0].length),
  }
}

function makesClient(code: string, makers: Makers): boolean {
  const byType =
    /\b(?:new|extends)\s+(?:\w+\.)?PrismaClient\b|^\s*:\s*(?:\w+\.)?PrismaClient\b|\bas\s+(?:\w+\.)?PrismaClient\b/
  // `prisma.user.findMany()` uses a client; `prisma`, `prisma.$extends(…)`, `createPrisma()` and `Clients.get()` are one.
  const byName = ([name, maker]: [string, string]) => {
    const rest = maker === 'client' ? '(?!\\s*\\.(?!\\s*\\$extends))' : ''
    return new RegExp(`(?<![\\w$.])${name.replaceAll('$', '\\$')}(?![\\w$])${rest}`)
  }
  return byType.test(code) || [...makers].some((maker) => byName(maker).test(code))
}

function isFunction(initializer: string): boolean {
  return /^[^=]*=\s*(?:async\s+)?(?:function\b|\([^()]*\)\s*(?::[^=]+)?=>|[\w$]+\s*=>)/.test(initializer)
}

/** `a, b as c` of an export list. */
function listedExports(list: string) {
  return list.split(',').map((item) => {
    const [value, name] = item.trim().split(/\s+as\s+/)
    return { value: value!, name: name ?? value! }
  })
}

const STATEMENT =
  /^(?:export|import|const|let|var|function|async|class|abstract|type|interface|declare|enum|if|for|try)\b/

function topLevelStatements(code: string): string[] {
  const starts: number[] = []
  let depth = 0
  let lineStart = true
  for (let i = 0; i < code.length; i++) {
    const char = code[i]!
    if (lineStart && depth === 0 && STATEMENT.test(code.slice(i, i + 'interface '.length))) starts.push(i)
    if ('([{'.includes(char)) depth++
    if (')]}'.includes(char)) depth--
    lineStart = char === '\n' || char === ';' || (lineStart && /\s/.test(char))
  }
  return starts.map((start, i) => code.slice(start, starts[i + 1]).trim())
}

/** Comments and the insides of strings, blanked out: what is left cannot be taken for code. */
function withoutCommentsAndStrings(source: string): string {
  return source.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g,
    (token) => (token.startsWith('/') ? ' ' : token[0]! + token[0]!),
  )
}
