import { cacheSettings } from './caches.js'
import { type Figure, figures, isMet, shown, Tables } from './figures.js'
import { queues } from './queues/index.js'
import type { BenchmarkResult, Column, Row, Table } from './result.js'
import { median } from './statistics.js'

const INTRODUCTION = `# Benchmarks: the latest results

<!-- Written by \`npm run bench\` from bench/results. A change by hand is lost. -->

\`npm run bench\` measures everything again and writes this page. \`npm run bench -- <name>\` measures one part.

- Each number is the median of several rounds. The smallest and the largest value stand in brackets.
- In each round, the contenders run one after the other, so that a slow moment of the machine hits all of them.
- The times are from one machine. Compare ratios, and measure on your machine before you decide.
- PostgreSQL runs on the same machine as everything else, with its own default settings. \`growth\` and \`idle\` have servers with other settings:
  \`bench/benchmarks/\` shows them.
- Results that are unfavourable for async-gen stay.`

const RIVER =
  'River for JavaScript is not measured: it needs [Node.js 26](https://github.com/riverqueue/river/tree/master/js#requirements), and the other ' +
  'contenders run on Node.js 24.'

/** The report in Markdown. */
export function present(results: readonly BenchmarkResult[]): string {
  const tables = new Tables(results)
  return `${[
    INTRODUCTION,
    machineOf(results),
    '## Figures and goals',
    'The documentation quotes these figures. A goal is compared with the number as it is shown.',
    figuresOf(tables),
    ...limitsOf(tables),
    '## Settings of the peers',
    settings(),
    RIVER,
    ...results.flatMap(sectionOf),
  ].join('\n\n')}\n`
}

/** The figures by their ids, as they are shown; those without results are left out. */
export function shownFigures(results: readonly BenchmarkResult[]): Map<string, string> {
  const tables = new Tables(results)
  return new Map(measured(tables).map(({ figure, value }) => [figure.id, shown(figure, value)]))
}

function measured(tables: Tables): { figure: Figure; value: number }[] {
  return figures.filter(({ table }) => tables.has(table)).map((figure) => ({ figure, value: figure.value(tables) }))
}

function figuresOf(tables: Tables): string {
  const rows = measured(tables).map(({ figure, value }) => {
    const unit = figure.unit ? ` ${figure.unit}` : ''
    const met = isMet(figure, value)
    const outcome = met === undefined ? '' : met ? 'met' : '**not met**'
    return [figure.text, `\`${figure.id}\``, `${shown(figure, value)}${unit}`, goalOf(figure), outcome]
  })
  return markdownTable(['figure', 'name', 'measured', 'goal', ''], rows, 2)
}

/** Why goals are not met. */
function limitsOf(tables: Tables): string[] {
  const missed = measured(tables).filter(({ figure, value }) => figure.limit && isMet(figure, value) === false)
  if (missed.length === 0) return []
  const reasons = missed.map(({ figure }) => `- \`${figure.id}\`: ${figure.limit}`)
  return ['### What limits the goals that are not met', reasons.join('\n')]
}

function goalOf({ goal, unit }: Figure): string {
  if (!goal) return ''
  const text = 'atLeast' in goal ? `at least ${goal.atLeast}` : `at most ${goal.atMost}`
  return unit ? `${text} ${unit}` : text
}

function machineOf(results: readonly BenchmarkResult[]): string {
  const days = [...new Set(results.map(({ measuredOn }) => measuredOn))].sort()
  const machines = [
    ...new Set(
      results.map(({ machine }) => `${machine.cores} cores, ${machine.memoryGB} GB of memory, ${machine.system}`),
    ),
  ]
  const versions = Object.assign({}, ...results.map((result) => result.versions)) as Record<string, string>
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `Measured on ${days.join(', ')}: ${machines.join('; ')}.\n${list.join(', ')}.`
}

function settings(): string {
  const rows = [...queues.map(({ name, settings: text }) => [name, text]), ...Object.entries(cacheSettings)]
  return rows.map(([name, text]) => `- **${name}**: ${text}`).join('\n')
}

function sectionOf({ benchmark, seconds, tables }: BenchmarkResult): string[] {
  const [first, ...others] = tables.map((table) => [`## ${table.title}`, table.method, tableOf(table)].join('\n\n'))
  return [`${first}\n\n\`npm run bench -- ${benchmark}\` took ${Math.round(seconds)} s.`, ...others]
}

function tableOf(table: Table): string {
  const columns = table.columns.filter(({ key }) => table.rows.some(({ values }) => values[key]))
  const titles = columns.flatMap(({ title, hasRatio }) => (hasRatio ? [title, 'ratio'] : [title]))
  const hasNotes = table.rows.some(({ note }) => note)
  const base = table.rows.find(({ name }) => name === table.base)
  const rows = table.rows.map((row) => [
    row.name,
    ...columns.flatMap((column) => cellsOf(row, column, base)),
    ...(hasNotes ? [row.note ?? ''] : []),
  ])
  return markdownTable(['', ...titles, ...(hasNotes ? [''] : [])], rows, 1, hasNotes ? 1 : 0)
}

function cellsOf({ values }: Row, { key, digits, hasRatio }: Column, base: Row | undefined): string[] {
  const all = values[key]
  const cell = all && all.length > 0 ? withSpread(all, digits) : '–'
  if (!hasRatio) return [cell]
  const baseValues = base?.values[key]
  return [cell, all && baseValues ? `${(median(all) / median(baseValues)).toFixed(2)} ×` : '']
}

function withSpread(values: readonly number[], digits: number): string {
  const text = (value: number) =>
    value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  const [least, most] = [text(Math.min(...values)), text(Math.max(...values))]
  return least === most ? text(median(values)) : `${text(median(values))} (${least} to ${most})`
}

/** @param left how many columns at the beginning, and `right` at the end, are aligned to the left */
function markdownTable(titles: string[], rows: string[][], left: number, right = 0): string {
  const line = titles.map((_, i) => (i < left || i >= titles.length - right ? '---' : '--:'))
  return [titles, line, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
