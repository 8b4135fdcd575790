import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { REPOSITORY } from '../support/host.js'
import { codeBlocks } from './blocks.js'

const RUNTIME = join(REPOSITORY, 'runtime/src')

it('the state diagrams of docs/architecture.md name statements that the runtime has', () => {
  const diagrams = codeBlocks().filter(
    ({ language, text }) => language === 'mermaid' && text.startsWith('stateDiagram'),
  )
  expect(diagrams).toHaveLength(2)
  const named = diagrams.flatMap(({ text }) =>
    [...text.matchAll(/: .* \/ (.+)$/gm)].flatMap(([, statements]) => statements!.split(' or ')),
  )
  expect(named.length).toBeGreaterThan(20)
  const known = new Set(statementNames())
  expect(named.filter((name) => !known.has(name))).toEqual([])
})

/** What comes after the table in the names of statements: `claim` of `attempts:claim`. */
function statementNames(): string[] {
  const files = readdirSync(RUNTIME, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  return files.flatMap((file) => {
    const text = readFileSync(join(RUNTIME, file), 'utf8')
    return [...text.matchAll(/name: ['`](?:\$\{table\}|toasts):([a-z-]+)/g)].map(([, name]) => name!)
  })
}
