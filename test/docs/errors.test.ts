import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REMEDIES } from '../../runtime/src/core/error-codes.js'
import { REPOSITORY } from '../support/host.js'
import { nodesOf, numbersIn, propertyOf, type SyntaxNode, sourcesIn, textsOf } from './sources.js'

interface CliCode {
  code: string
  /** The class of the error, such as UsageError; undefined for a finding of doctor and for what bin/ prints itself. */
  class: string | undefined
  file: string
}

const MIGRATIONS = 'generators/commands/doctor/migrations.ts'

/** A table has no text to compare. Only a trigger or an index can be disabled. */
const IMPOSSIBLE = ['TABLE_DIFFERS', 'TYPE_DISABLED', 'TABLE_DISABLED', 'COLUMN_DISABLED', 'FUNCTION_DISABLED']

const page = readFileSync(join(REPOSITORY, 'docs/errors.md'), 'utf8')
const commandLine = ['generators', 'bin'].flatMap(sourcesIn)
const runtime = sourcesIn('runtime/src')
const cliCodes = [...codesOfObjects(), ...codesOfMigrations(), ...codesOfUnreachable()]
const isDoctors = ({ class: kind, file }: CliCode) =>
  kind === undefined && (file.startsWith('generators/commands/doctor/') || file === 'generators/host/database.ts')
const thrown = runtimeCodes()

describe('docs/errors.md lists', () => {
  it('the codes of the command async-gen, and no others', () => {
    expect(cliCodes.length).toBeGreaterThan(90)
    const codes = unique(cliCodes.filter((each) => !isDoctors(each)).map(({ code }) => code))
    expect(columnOf('The command async-gen', 'code')).toEqual(codes)
  })

  it('each code of the command async-gen with the exit code of its class', () => {
    const exitCodes = exitCodesOfClasses()
    const ofTheRest = { DEFECT: 1, INTERRUPTED: 130, USAGE: 2 } as Record<string, number>
    const expected = cliCodes
      .filter((each) => !isDoctors(each))
      .map(({ code, class: kind }) => `${code}: ${kind === undefined ? ofTheRest[code] : exitCodes[kind]}`)
    const listed = rowsOf('The command async-gen').map((row) => `${row.code}: ${row['exit code']}`)
    expect(listed).toEqual(unique(expected))
  })

  it('the codes of the findings of doctor, and no others', () => {
    const codes = unique(cliCodes.filter(isDoctors).map(({ code }) => code))
    expect(columnOf('Findings of doctor', 'code')).toEqual(codes)
  })

  it('the codes of the runtime, each with the text of its remedy', () => {
    const listed = rowsOf('The runtime').map((row) => [row.code, row['what to do']])
    expect(listed).toEqual(Object.entries(REMEDIES).sort(byFirst))
  })

  it('the classes of the runtime that have a code of their own', () => {
    const listed = rowsOf('The runtime').flatMap((row) => (row.class ? [[row.code, row.class]] : []))
    expect(listed).toEqual(classesOfCodes().sort(byFirst))
  })

  it('the codes of process warnings, and no others', () => {
    expect(columnOf('Process warnings', 'code')).toEqual(unique(warningCodes()))
  })

  it('the codes that async-gen-worker has beside those of the runtime', () => {
    const { nodes } = runtime.find(({ file }) => file.endsWith('bin/answer.ts'))!
    const printed = nodes.find(({ type, id }) => type === 'FunctionDeclaration' && id.name === 'errorAnswerOf')!
    const code = nodesOf(printed).find(({ type, id }) => type === 'VariableDeclarator' && id.name === 'code')!
    const texts = nodesOf(code.init).flatMap(({ type, value }) => (type === 'Literal' ? [value] : []))
    expect(columnOf('The command async-gen-worker', 'code')).toEqual(unique(texts))
  })

  it('the exit codes of async-gen', () => {
    const own = commandLine.filter(({ file }) => file.startsWith('bin/') || file === 'generators/host/errors.ts')
    expect(columnOf('Exit codes of async-gen', 'exit code')).toEqual(exitCodesIn(own))
  })

  it('the exit codes of async-gen-worker', () => {
    expect(columnOf('Exit codes of async-gen-worker', 'exit code')).toEqual(exitCodesIn(runtime))
  })

  it('no row with an empty cause or advice', () => {
    const lines = page.split('\n').filter((line) => line.startsWith('| `'))
    const incomplete = lines.filter((line) => cellsOf(line).slice(-2).includes(''))
    expect(incomplete).toEqual([])
    expect(lines.length).toBeGreaterThan(150)
  })
})

describe('each code of the runtime', () => {
  it('is thrown somewhere', () => {
    expect(Object.keys(REMEDIES).filter((code) => !thrown.includes(code))).toEqual([])
  })

  it('has a remedy', () => {
    expect(thrown.filter((code) => !(code in REMEDIES))).toEqual([])
  })
})

/** The object literals with a `code`: the arguments of errors, and findings. */
function codesOfObjects(): CliCode[] {
  return commandLine.flatMap(({ file, text, nodes }) => {
    const classes = new Map(
      nodes.filter(({ type }) => type === 'NewExpression').map((node) => [node.arguments[0], node.callee.name]),
    )
    return nodes.flatMap((object) => {
      const value = object.type === 'ObjectExpression' ? propertyOf(object, 'code') : undefined
      // A code in a variable comes from another object, and a template is the one of codesOfMigrations.
      if (!value || isVariable(value) || isMigrationCode(file, value)) return []
      const codes = textsOf(value, nodes)
      if (!codes) throw new Error(`${file}: cannot read the code ${text.slice(value.start, value.end)}`)
      return codes.map((code) => ({ code, class: classes.get(object), file }))
    })
  })
}

function isVariable({ type, name }: SyntaxNode): boolean {
  return type === 'Identifier' && name === 'code'
}

function isMigrationCode(file: string, { type }: SyntaxNode): boolean {
  return type === 'TemplateLiteral' && file === MIGRATIONS
}

/** `${kind}_${what}` of an object that a migration creates. */
function codesOfMigrations(): CliCode[] {
  const kinds = unionOf('generators/commands/doctor/definitions.ts', 'kind')
  const differences = unionOf('generators/commands/doctor/objects.ts', 'what')
  return kinds
    .flatMap((kind) => differences.map((what) => `${kind}_${what}`.toUpperCase()))
    .filter((code) => !IMPOSSIBLE.includes(code))
    .map((code) => ({ code, class: undefined, file: MIGRATIONS }))
}

/** The members of the type of a field: `'missing' | 'differs'`. */
function unionOf(path: string, field: string): string[] {
  const { nodes } = commandLine.find(({ file }) => file === path)!
  const unions = nodes.filter(({ type, key }) => type === 'TSPropertySignature' && key.name === field)
  return unions.flatMap((union) =>
    nodesOf(union.typeAnnotation).flatMap(({ type, value }) => (type === 'Literal' ? [value] : [])),
  )
}

/** The codes of a database that doctor could not check. */
function codesOfUnreachable(): CliCode[] {
  const file = 'generators/host/database.ts'
  const { nodes } = commandLine.find((source) => source.file === file)!
  const codes = nodes
    .filter(({ type, callee }) => type === 'CallExpression' && callee.name === 'unreachable')
    .flatMap((call) => textsOf(call.arguments[0], nodes) ?? [])
  expect(unique(codes)).toEqual(unique(unionOf(file, 'code')))
  return codes.map((code) => ({ code, class: undefined, file }))
}

function exitCodesOfClasses(): Record<string, number> {
  const { nodes } = commandLine.find(({ file }) => file === 'generators/host/errors.ts')!
  const classes = nodes.filter(({ type }) => type === 'ClassDeclaration')
  return Object.fromEntries(
    classes.flatMap(({ id, body }) =>
      body.body
        .filter(({ key, value }: SyntaxNode) => key?.name === 'exitCode' && value)
        .map(({ value }: SyntaxNode) => [id.name, value.value]),
    ),
  )
}

/** What ends a process: `process.exit(1)`, `exitCode = 1`, `{ exitCode: 1 }`, `printError(1)`, and its returns; signals with their codes. */
function exitCodesIn(sources: { nodes: SyntaxNode[] }[]): string[] {
  const numbers = sources.flatMap(({ nodes }) =>
    nodes.flatMap((node) => {
      if (node.type === 'CallExpression' && /^(?:exit|jsonError)$/.test(node.callee.property?.name ?? node.callee.name))
        return node.arguments[0] ? numbersIn(node.arguments[0]) : [0]
      if (/^(?:Property|PropertyDefinition)$/.test(node.type) && node.key.name === 'exitCode' && node.value)
        return numbersIn(node.value)
      if (node.type === 'AssignmentExpression' && node.left.property?.name === 'exitCode') return numbersIn(node.right)
      if (node.type === 'VariableDeclarator' && node.id.name === 'exitCode' && node.init) return numbersIn(node.init)
      const [signal, code] =
        node.type === 'ArrayExpression' ? nodesOf(node).filter(({ type }) => type === 'Literal') : []
      return typeof signal?.value === 'string' && signal.value.startsWith('SIG') && code ? numbersIn(code) : []
    }),
  )
  return [...new Set(numbers)].sort((a, b) => a - b).map(String)
}

/** The codes of `new AsyncGenError('CODE', …)` and of the subclasses that are created outside of their own file. */
function runtimeCodes(): string[] {
  const subclasses = classesOfCodes()
  return runtime.flatMap(({ file, text, nodes }) =>
    nodes
      .filter(({ type }) => type === 'NewExpression')
      .flatMap((node) => {
        const own = subclasses.filter(([, name]) => name === node.callee.name).map(([code]) => code)
        if (node.callee.name !== 'AsyncGenError') return own
        const codes = textsOf(node.arguments[0], nodes)
        if (!codes) throw new Error(`${file}: cannot read the code of ${text.slice(node.start, node.start + 80)}`)
        return codes
      }),
  )
}

/** The subclasses of AsyncGenError, each as its code and its name. */
function classesOfCodes(): [code: string, name: string][] {
  return runtime.flatMap(({ nodes }) =>
    nodes
      .filter(({ type, superClass }) => type === 'ClassDeclaration' && superClass?.name === 'AsyncGenError')
      .map((node): [string, string] => {
        const call = nodesOf(node).find(({ type, callee }) => type === 'CallExpression' && callee.type === 'Super')!
        return [call.arguments[0].value, node.id.name]
      }),
  )
}

function warningCodes(): string[] {
  return runtime.flatMap(({ nodes }) =>
    nodes
      .filter(({ type, callee }) => type === 'CallExpression' && callee.property?.name === 'emitWarning')
      .flatMap((call) => {
        const code = call.arguments[1] && propertyOf(call.arguments[1], 'code')
        return code ? textsOf(code, nodes)! : []
      }),
  )
}

/** The rows of the first table under a heading, by the names of their columns. */
function rowsOf(heading: string): Record<string, string>[] {
  const [, section] = page.split(new RegExp(`^#+ ${heading}$`, 'm'))
  const table = /(?:^\|.*\n)+/m.exec(section!)![0]
  const [head, , ...rows] = table.trimEnd().split('\n').map(cellsOf)
  return rows.map((cells) => Object.fromEntries(cells.map((cell, i) => [head![i]!, cell])))
}

/** Codes and classes without their backquotes. */
function cellsOf(line: string): string[] {
  const cells = line.split(/(?<!\\)\|/).slice(1, -1)
  return cells.map((cell) => cell.trim().replace(/^`(\w+)`$/, '$1'))
}

function columnOf(heading: string, column: string): string[] {
  return rowsOf(heading).map((row) => row[column]!)
}

/** Each once, in the order of the page's tables. */
function unique(codes: string[]): string[] {
  return [...new Set(codes)].sort()
}

function byFirst([a]: [string, ...unknown[]], [b]: [string, ...unknown[]]): number {
  return a < b ? -1 : 1
}
