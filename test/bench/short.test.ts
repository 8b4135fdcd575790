import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { benchmarks } from '../../bench/benchmarks/index.js'
import { REPOSITORY } from '../support/host.js'
import { childEnv } from '../support/run.js'

it('npm run bench -- --short runs every benchmark and prints a report with all figures', async () => {
  const child = spawn(process.execPath, ['bench/run.mjs', '--short'], {
    cwd: REPOSITORY,
    env: childEnv({ BENCH_PREPARED: '1', NODE_OPTIONS: '' }),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
  expect(code, output).toBe(0)
  for (const name of Object.keys(benchmarks)) expect(output).toMatch(new RegExp(`^${name}: \\d+ s$`, 'm'))
  expect(output).not.toMatch(/NaN|undefined|Infinity/)
}, 600_000)
