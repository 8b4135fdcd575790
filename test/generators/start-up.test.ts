import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { compiled } from '../support/programs.js'
import { sampleHost } from './sample-host.js'

const bin = compiled('bin/async-gen.ts')

/** Has a process say on stderr, when it ends, how many microseconds of CPU time it took. */
const TELL_CPU_TIME =
  'data:text/javascript,process.on("exit",()=>{const{user,system}=process.cpuUsage();process.stderr.write(String(user+system))})'

/** Milliseconds of CPU time, on which a busy machine has little influence, that a run of node with `args` takes. */
function cpuTime(args: string[], cwd = process.cwd()): number {
  const all = ['--import', TELL_CPU_TIME, ...args]
  const { status, stderr } = spawnSync(process.execPath, all, { cwd, encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  return Number(stderr) / 1000
}

/** The best of some runs of each, taken in turns. */
function best<Name extends string>(rounds: number, runs: Record<Name, () => number>): Record<Name, number> {
  const least = {} as Record<Name, number>
  for (let round = 0; round < rounds; round++)
    for (const name in runs) least[name] = Math.min(least[name] ?? Number.POSITIVE_INFINITY, runs[name]())
  return least
}

const bare = () => cpuTime(['-e', '0'])

it('the built command line answers --help in the time of node itself, half of it again, and 40 ms', () => {
  const { node, help } = best(6, { node: bare, help: () => cpuTime([bin, '--help']) })
  expect(help, `node -e 0: ${node.toFixed(0)} ms`).toBeLessThan(1.5 * node + 40)
}, 180_000)

it('a whole install takes 1.5 s, or on a slow machine the time of 25 starts of node', () => {
  const { node, install } = best(2, { node: bare, install: () => cpuTime([bin, 'install'], sampleHost().root) })
  expect(install, `node -e 0: ${node.toFixed(0)} ms`).toBeLessThan(Math.max(1500, 25 * node))
}, 180_000)
