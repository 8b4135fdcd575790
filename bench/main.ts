// `npm run bench` runs all benchmarks and writes bench/RESULTS.md.
//   -- <name> …   runs only these
//   -- --short    runs them for seconds, to see that they work, and prints a report that means nothing
//   -- --render   runs none and writes bench/RESULTS.md again from bench/results
import { parseArgs } from 'node:util'
import { query } from '../test/support/postgres.js'
import { benchmarks } from './benchmarks/index.js'
import { openContext } from './context.js'
import { present } from './present.js'
import type { BenchmarkResult } from './result.js'
import { machine, storeResult, versions, writeReport } from './results.js'
import { together } from './rounds.js'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: 'boolean', default: false }, render: { type: 'boolean', default: false } },
})
const all = Object.keys(benchmarks)
const unknown = positionals.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  console.error(`Unknown benchmark: ${unknown.join(', ')}. Choose from: ${all.join(', ')}.`)
  process.exit(2)
}

// Interrupted, it still ends the workers, and through the closed pipe PostgreSQL.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

if (flags.render) writeReport(all)
else await runBenchmarks(positionals.length > 0 ? positionals : all)
process.exit()

async function runBenchmarks(names: string[]): Promise<void> {
  const { context, server, close } = await openContext(flags.short)
  const results: BenchmarkResult[] = []
  try {
    const [{ postgres }] = (await query(server.url, `SELECT current_setting('server_version') AS postgres`)) as [
      { postgres: string },
    ]
    const measure = async (name: string): Promise<BenchmarkResult> => {
      const started = performance.now()
      console.log(`${name} …`)
      const tables = await benchmarks[name]!(context)
      const seconds = (performance.now() - started) / 1000
      console.log(`${name}: ${seconds.toFixed(0)} s`)
      const measuredOn = new Date().toISOString().slice(0, 10)
      return { benchmark: name, measuredOn, seconds, machine: machine(), versions: versions(postgres), tables }
    }
    if (flags.short) results.push(...(await fewTogether(names, measure)))
    for (const name of flags.short ? [] : names) {
      results.push(await measure(name))
      storeResult(results.at(-1)!)
      writeReport(all)
    }
  } finally {
    await close()
  }
  console.log(`\n${present(results)}`)
}

/** A few at a time: most of them wait most of the time, and the figures of a short run mean nothing. */
async function fewTogether<Result>(names: string[], work: (name: string) => Promise<Result>): Promise<Result[]> {
  const results = new Map<string, Result>()
  const left = names.values()
  await together(
    Array.from({ length: 4 }, async () => {
      for (const name of left) results.set(name, await work(name))
    }),
  )
  return names.map((name) => results.get(name)!)
}
