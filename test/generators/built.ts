import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { REPOSITORY } from '../support/host.js'
import { run } from '../support/run.js'

/** The command line as it is published, built from the sources as they are for the tests of this file. */
export function builtCommandLine(): () => string {
  // Inside the repository, so that it finds its packages and its templates.
  const dist = mkdtempSync(join(REPOSITORY, 'node_modules', '.async-gen-'))
  beforeAll(() =>
    run(REPOSITORY, join(REPOSITORY, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json', '--outDir', dist]),
  )
  afterAll(() => rmSync(dist, { recursive: true, force: true }))
  return () => join(dist, 'bin', 'async-gen.js')
}
