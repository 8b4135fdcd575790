import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { REPOSITORY } from '../../support/host.js'
import { run } from '../../support/run.js'
import { quantile } from './ledger.js'
import type { Played } from './play.js'
import type { Scenario } from './scenarios.js'

const FILE = join(REPOSITORY, 'docs', 'reliability.md')

const BEGIN = '<!-- Written by `npm run test:chaos -- --write` -->'
const END = '<!-- End of what it writes -->'

/** What was played, as a table in Markdown. */
export function tableOf(played: Played[], scenarios: Scenario[]): string {
  const titles = [
    'fault',
    'backlog',
    'calls',
    'lost',
    'doubled',
    'repeated',
    'failed',
    'killed',
    'ended',
    'p50',
    'p95',
    'max',
  ]
  const rows = played.map((each) => [
    scenarios.find(({ name }) => name === each.name)!.title,
    each.backlog,
    each.calls,
    each.lost,
    each.doubled,
    each.repeated,
    each.failedThoughRun,
    each.killed,
    each.endedAtStart > 0 ? `${each.ended} (${each.endedAtStart} at start)` : each.ended,
    ...[0.5, 0.95, 1].map((share) => quantile(each.recovered, share)?.toFixed(1) ?? '–'),
  ])
  const sum = (count: (each: Played) => number) => played.reduce((total, each) => total + count(each), 0)
  const all = played.flatMap(({ recovered }) => recovered)
  rows.push([
    '**all**',
    '',
    sum(({ calls }) => calls),
    sum(({ lost }) => lost),
    sum(({ doubled }) => doubled),
    sum(({ repeated }) => repeated),
    sum(({ failedThoughRun }) => failedThoughRun),
    sum(({ killed }) => killed),
    sum(({ ended }) => ended),
    ...[0.5, 0.95, 1].map((share) => quantile(all, share)?.toFixed(1) ?? '–'),
  ])
  const lines = [titles, titles.map((_, i) => (i === 0 ? '---' : '--:')), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Puts the table, and what it was measured with, between the markers of docs/reliability.md. */
export async function writeTable(
  table: string,
  { postgres, seed, seconds }: { postgres: string; seed: number; seconds: number },
): Promise<void> {
  const text = readFileSync(FILE, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`docs/reliability.md has to hold the lines ${BEGIN} and ${END}.`)
  const date = new Date().toISOString().slice(0, 10)
  const measured = `Measured on ${date} with PostgreSQL ${postgres} and Node ${process.versions.node} on ${cpus().length} cores, in ${Math.round(seconds / 60)} minutes, with \`--seed ${seed}\`.`
  writeFileSync(FILE, `${text.slice(0, begin)}${BEGIN}\n\n${measured}\n\n${table}\n\n${text.slice(end)}`)
  await run(REPOSITORY, 'npx', ['--no', 'biome', 'format', '--write', FILE])
}
