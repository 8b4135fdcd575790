import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pages } from '../test/docs/blocks.js'
import { REPOSITORY } from '../test/support/host.js'
import { present, shownFigures } from './present.js'
import type { BenchmarkResult, Machine } from './result.js'

const FOLDER = fileURLToPath(new URL('results/', import.meta.url))

export const REPORT = fileURLToPath(new URL('RESULTS.md', import.meta.url))

const PACKAGES: Record<string, string> = {
  'async-gen': '../runtime',
  Prisma: '../node_modules/prisma',
  pg: '../node_modules/pg',
  'Graphile Worker': 'peers/node_modules/graphile-worker',
  'pg-boss': 'peers/node_modules/pg-boss',
  bentocache: 'peers/node_modules/bentocache',
  cachified: 'peers/node_modules/@epic-web/cachified',
  'async-cache-dedupe': 'peers/node_modules/async-cache-dedupe',
}

/** The stored results, in the order of these names. */
export function readResults(names: readonly string[]): BenchmarkResult[] {
  const stored = existsSync(FOLDER) ? readdirSync(FOLDER) : []
  return names
    .filter((name) => stored.includes(`${name}.json`))
    .map((name) => JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as BenchmarkResult)
}

export function storeResult(result: BenchmarkResult): void {
  mkdirSync(FOLDER, { recursive: true })
  // More digits than three say nothing.
  const rounded = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(3)) : value)
  writeFileSync(join(FOLDER, `${result.benchmark}.json`), `${JSON.stringify(result, rounded)}\n`)
}

/** A number that a page quotes: `4.3<!-- bench: running-to-pg-boss -->`. */
export const QUOTE = /([\d.,]*\d)<!-- bench: (\S+) -->/g

/** Writes bench/RESULTS.md from the stored results, and their numbers where pages quote them. */
export function writeReport(names: readonly string[]): void {
  const results = readResults(names)
  writeFileSync(REPORT, present(results))
  const figures = shownFigures(results)
  for (const page of pages()) {
    const file = join(REPOSITORY, page)
    const text = readFileSync(file, 'utf8')
    const quoted = text.replace(QUOTE, (_, number, id) => `${figures.get(id) ?? number}<!-- bench: ${id} -->`)
    if (quoted !== text) writeFileSync(file, quoted)
  }
}

export function machine(): Machine {
  return {
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${arch()}`,
  }
}

export function versions(postgres: string): Record<string, string> {
  const installed = Object.entries(PACKAGES).map(([name, folder]) => {
    const file = new URL(`${folder}/package.json`, import.meta.url)
    return [name, (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version]
  })
  return { 'Node.js': process.versions.node, PostgreSQL: postgres, ...Object.fromEntries(installed) }
}
