import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'
import { REPOSITORY } from '../support/host.js'

/** A node of the syntax tree. Its fields depend on its type. */
export interface SyntaxNode {
  type: string
  start: number
  end: number
  // biome-ignore lint/suspicious/noExplicitAny: the tests read fields of many node types
  [field: string]: any
}

interface Source {
  /** Relative to the repository: `bin/async-gen.ts`. */
  file: string
  text: string
  /** All nodes, parents before their children. */
  nodes: SyntaxNode[]
}

/** The parsed TypeScript files of a folder. */
export function sourcesIn(folder: string): Source[] {
  const names = readdirSync(join(REPOSITORY, folder), { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const file = `${folder}/${name.replaceAll('\\', '/')}`
      const text = readFileSync(join(REPOSITORY, file), 'utf8')
      return { file, text, nodes: nodesOf(parseSync(file, text).program) }
    })
}

export function nodesOf(value: unknown): SyntaxNode[] {
  if (typeof value !== 'object' || value === null) return []
  const inside = Object.values(value).flatMap(nodesOf)
  return 'type' in value && typeof value.type === 'string' ? [value as SyntaxNode, ...inside] : inside
}

/** The constant strings that an expression can be: of a literal, a condition, or a constant of the same file. Otherwise undefined. */
export function textsOf(node: SyntaxNode, nodes: SyntaxNode[]): string[] | undefined {
  if (node.type === 'Literal' && typeof node.value === 'string') return [node.value]
  if (node.type === 'ConditionalExpression') {
    const [yes, no] = [textsOf(node.consequent, nodes), textsOf(node.alternate, nodes)]
    return yes && no && [...yes, ...no]
  }
  if (node.type !== 'Identifier') return undefined
  const constant = nodes.find(({ type, id, init }) => type === 'VariableDeclarator' && id.name === node.name && init)
  return constant?.init.type === 'Literal' ? [constant.init.value] : undefined
}

/** The value of a property of an object literal. */
export function propertyOf(object: SyntaxNode, name: string): SyntaxNode | undefined {
  return object.properties?.find(({ type, key }: SyntaxNode) => type === 'Property' && key.name === name)?.value
}

/** The numbers in an expression. */
export function numbersIn(node: SyntaxNode): number[] {
  return nodesOf(node).flatMap(({ type, value }) => (type === 'Literal' && typeof value === 'number' ? [value] : []))
}
