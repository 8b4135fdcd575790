import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from '../support/host.js'

/** What a reader of a guide does next: write a file, run a command, or look at what the worker prints. */
export type Step =
  | { kind: 'file'; at: string; path: string; text: string; adds: boolean }
  | { kind: 'command'; at: string; command: string; output?: string }
  | { kind: 'log'; at: string; output: string }

/**
 * The steps of a guide in their order, from its code blocks.
 *
 * - A fenced block is a file where its first line names it (`// src/prisma.ts`). Files without comments are named in backticks before it.
 * - A fenced block adds to a file where its first line says so (`// test/checkout.test.ts, continued`).
 * - In an indented block, each line is a command. From the first line with `$ ` on, only such lines are: the others are output.
 * - An indented block that begins with a date is output of the worker.
 */
export function stepsOf(page: string): Step[] {
  const lines = readFileSync(join(REPOSITORY, page), 'utf8').split('\n')
  const steps: Step[] = []
  let names: string[] = []
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]!
    const at = `${page}:${index + 1}`
    if (line.startsWith('```')) {
      const end = lines.indexOf('```', index + 1)
      const text = `${lines.slice(index + 1, end).join('\n')}\n`
      const path = fileOf(text) ?? (/^```(json)?$/.test(line) ? names.shift() : undefined)
      if (path) steps.push({ kind: 'file', at, path, text, adds: CONTINUED.test(text) })
      index = end
    } else if (line.startsWith('    ') && lines[index - 1] === '') {
      const end = endOfIndented(lines, index)
      steps.push(...indentedSteps(lines.slice(index, end), page, index + 1))
      index = end - 1
    } else if (line) {
      const named = [...line.matchAll(/`([\w./-]*\.[\w-]+)`/g)].map((match) => match[1]!)
      if (named.length) names = named
    }
  }
  return steps
}

const CONTINUED = /^.*, continued\n/

/** The path in the first line of a block, if it has one: `// src/lib/orders.ts: runs in Next.js`. */
export function fileOf(text: string): string | undefined {
  return /^\/\/ ((?:[\w.-]+\/)*[\w.-]+\.\w+)(?:[:,].*)?\n/.exec(text)?.[1]
}

/** A blank line belongs to an indented block where more of the block follows. */
function endOfIndented(lines: string[], start: number) {
  let end = start
  for (let index = start; index < lines.length && (lines[index] === '' || lines[index]!.startsWith('    ')); index++)
    if (lines[index]) end = index + 1
  return end
}

function indentedSteps(block: string[], page: string, top: number): Step[] {
  const lines = block.map((line) => line.slice(4))
  const at = (index: number) => `${page}:${top + index}`
  const prompts = lines.flatMap((line, index) => (line.startsWith('$ ') ? [index] : []))
  const head = lines.slice(0, prompts[0])
  const first: Step[] = /^\d{4}-\d\d-\d\dT/.test(head[0] ?? '')
    ? [{ kind: 'log', at: at(0), output: head.join('\n').trim() }]
    : head.flatMap((line, index) => (line ? [{ kind: 'command', at: at(index), command: line }] : []))
  const transcript = prompts.map((start, nth): Step => {
    const output = lines
      .slice(start + 1, prompts[nth + 1])
      .join('\n')
      .trim()
    return { kind: 'command', at: at(start), command: lines[start]!.slice(2), ...(output && { output }) }
  })
  return [...first, ...transcript]
}
