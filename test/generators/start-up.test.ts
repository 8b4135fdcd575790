import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { builtCommandLine } from './built.js'
import { sampleHost } from './sample-host.js'

const bin = builtCommandLine()

/** Milliseconds that a run of node with `args` takes. */
function timed(args: string[], cwd = process.cwd()): number {
  const start = performance.now()
  const { status, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  return performance.now() - start
}

/** The fastest of some runs of each, taken in turns: what the machine does besides can only add to a time, and adds to all alike. */
function fastest<Name extends string>(rounds: number, runs: Record<Name, () => number>): Record<Name, number> {
  const best = {} as Record<Name, number>
  for (let round = 0; round < rounds; round++)
    for (const name in runs) best[name] = Math.min(best[name] ?? Number.POSITIVE_INFINITY, runs[name]())
  return best
}

it('the built command line answers --help in the time of node itself, half of it again, and 40 ms', () => {
  const { bare, help } = fastest(12, { bare: () => timed(['-e', '0']), help: () => timed([bin(), '--help']) })
  expect(help, `node -e 0: ${bare.toFixed(0)} ms`).toBeLessThan(1.5 * bare + 40)
}, 60_000)

it('a whole install takes 1.5 s, or on a slow machine the time of 25 starts of node', () => {
  const { bare, install } = fastest(6, {
    bare: () => timed(['-e', '0']),
    install: () => timed([bin(), 'install'], sampleHost().root),
  })
  expect(install, `node -e 0: ${bare.toFixed(0)} ms`).toBeLessThan(Math.max(1500, 25 * bare))
}, 60_000)
