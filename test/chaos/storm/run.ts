// `npm run test:chaos`: plays every scenario and prints a table. Exits with 1 if a check fails.
//   -- --write          writes the table into docs/reliability.md
//   -- --only <name>    plays that scenario; can be given several times
//   -- --seed <number>  chooses the same victims and durations again
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepareGround } from './ground.js'
import { quantile } from './ledger.js'
import { type Played, play } from './play.js'
import { tableOf, writeTable } from './present.js'
import { scenarios } from './scenarios.js'

const { values: flags } = parseArgs({
  options: { write: { type: 'boolean' }, only: { type: 'string', multiple: true }, seed: { type: 'string' } },
})
const seed = Number(flags.seed ?? Math.floor(Math.random() * 1e9))
const chosen = scenarios.filter(({ name }) => !flags.only || flags.only.includes(name))
if (chosen.length < (flags.only?.length ?? 1) || !Number.isInteger(seed) || (flags.write && flags.only)) {
  console.error(
    `--only takes one of: ${scenarios.map(({ name }) => name).join(', ')}.\n--seed takes a whole number. --write writes the whole table: not with --only.`,
  )
  process.exit(2)
}

// Interrupted, it still ends the workers, and through the closed pipe PostgreSQL.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const began = performance.now()
const logs = mkdtempSync(join(tmpdir(), 'async-gen-chaos-logs-'))
console.log(`--seed ${seed}; the workers' logs are written to ${logs}`)
const ground = await prepareGround()
const played: Played[] = []
try {
  for (const scenario of chosen) {
    for (const backlog of scenario.backlogs) {
      const result = await play(ground, scenario, { seed, backlog })
      played.push(result)
      writeFileSync(join(logs, `${scenario.name}-${backlog}.log`), result.logs)
      console.log(lineOf(result))
    }
  }
} finally {
  await ground.leave()
}

const seconds = (performance.now() - began) / 1000
const table = tableOf(played, scenarios)
console.log(`\n${table}\n\nPlayed in ${Math.round(seconds)} s.`)
if (flags.write) await writeTable(table, { postgres: ground.version, seed, seconds })
const broken = played.flatMap((each) => each.broken.map((what) => `${nameOf(each)}: ${what}`))
if (broken.length > 0) {
  console.error(`\nFailed checks:\n${broken.join('\n')}`)
  process.exitCode = 1
}

function lineOf(each: Played): string {
  const times = [0.5, 1].map((share) => quantile(each.recovered, share)?.toFixed(1) ?? '–')
  const facts = `${each.calls} calls, ${each.recovered.length} interrupted, running again after ${times.join(' to ')} s, ${each.seconds.toFixed(0)} s`
  const lines = each.broken.map((what) => `\n      ${what}`)
  return `${each.broken.length > 0 ? 'BROKEN' : 'ok    '}  ${nameOf(each)}: ${facts}${lines.join('')}`
}

function nameOf({ name, backlog }: Played): string {
  return backlog > 0 ? `${name} with ${backlog} due` : name
}
