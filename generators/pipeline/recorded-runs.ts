import type { Manifest } from '../changes/manifest.js'
import { UsageError } from '../host/errors.js'
import type { SharedAnswers } from './answers.js'
import { generators, type StagedRun } from './plop.js'

/** The recorded runs of the manifest, with the generators of this version. */
export function recordedRuns(manifest: Manifest, shared: SharedAnswers): StagedRun[] {
  return Object.values(manifest.generators).map(({ generator: name, ...answers }) => {
    const generator = generators.find((known) => known.name === name)
    if (!generator) {
      throw new UsageError({
        code: 'GENERATOR_UNKNOWN',
        message: `The manifest names the generator "${name}", which this version of async-gen does not have.`,
        remedy: 'Use a newer version: npx async-gen@latest',
      })
    }
    return { generator, answers: { ...shared, ...answers } }
  })
}
