import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { REPOSITORY } from './host.js'
import { ONE_PROCESS, type Ran, type RunOptions, run, SPEC_TIMEOUTS } from './run.js'

export type SpecRunner = 'vitest' | 'jest' | 'node:test'

/** What a host with this runner has in its package.json. */
export function packageJsonOf(runner: SpecRunner) {
  if (runner === 'node:test') return { scripts: { test: 'node --import tsx --test' } }
  return { devDependencies: { [runner]: { vitest: '^4.0.0', jest: '^30.0.0' }[runner] } }
}

/**
 * Runs the emitted specs of a host in this repository with the real runner, and without the configuration of the repository.
 *
 * @param host the host, or a folder of hosts whose specs run one after the other
 */
export async function runEmittedSpecs(host: string, runner: SpecRunner, options: RunOptions): Promise<Ran> {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-specs-'))
  try {
    if (runner === 'node:test') {
      // Each file would load the application in a process of its own.
      const specs = readdirSync(host, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'))
      const imports = specs.map((file) => `import '${pathToFileURL(join(host, file)).href}'\n`)
      writeFileSync(join(dir, 'all.test.mjs'), imports.join(''))
      return await run(host, process.execPath, ['--import', 'tsx', '--test', join(dir, 'all.test.mjs')], options)
    }
    const config = join(dir, `${runner}.config.mjs`)
    const settings = runner === 'jest' ? { ...documentedJest(), rootDir: host, testTimeout: 60_000 } : {}
    writeFileSync(config, `export default ${JSON.stringify(settings)}\n`)
    const args =
      runner === 'jest' ? ['--rootDir', host, '--runInBand'] : ['run', '--root', host, ...SPEC_TIMEOUTS, ...ONE_PROCESS]
    return await run(host, join(REPOSITORY, 'node_modules', '.bin', runner), [...args, '--config', config], options)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** The configuration that docs/testing.md shows. */
function documentedJest(): object {
  const page = readFileSync(join(REPOSITORY, 'docs', 'testing.md'), 'utf8')
  const [, json] = /```json\n(\{\n {2}"jest": [\s\S]*?)```/.exec(page)!
  return JSON.parse(json!).jest
}
