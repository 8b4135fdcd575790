import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { builtCommandLine } from './built.js'
import { sampleHost } from './sample-host.js'

/** Milliseconds of the fastest of some runs: what the machine does besides can only add to it. */
function fastest(runs: number, args: string[], folder = () => process.cwd()): number {
  const times = Array.from({ length: runs }, () => {
    const cwd = folder()
    const start = performance.now()
    const { status, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
    expect(status, stderr).toBe(0)
    return performance.now() - start
  })
  return Math.min(...times)
}

const bin = builtCommandLine()

it('the built command line answers --help in the time of node itself, half of it again, and 40 ms; a whole install within 1.5 s', () => {
  const bare = fastest(12, ['-e', '0'])
  const help = fastest(12, [bin(), '--help'])
  expect(help, `node -e 0: ${bare.toFixed(0)} ms`).toBeLessThan(1.5 * bare + 40)
  expect(fastest(4, [bin(), 'install'], () => sampleHost().root)).toBeLessThan(1500)
}, 60_000)
