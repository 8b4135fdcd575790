import type { SharedAnswers } from './answers.js'
import { MANIFEST, type Manifest } from './changes/manifest.js'
import { UsageError } from './host/errors.js'
import { generators, type Run } from './plop.js'
import { notInstalled } from './session.js'

/** Every run that the manifest knows of, as it would be made now. */
export function recordedRuns(manifest: Manifest, shared: SharedAnswers): Run[] {
  return Object.values(manifest.generators).map(({ generator: name, ...answers }) => {
    const generator = generators.find((known) => known.name === name)
    if (!generator) {
      throw new UsageError({
        code: 'GENERATOR_UNKNOWN',
        message: `This async-gen has no generator "${name}", which was run here.`,
        remedy: 'Use the one that was: npx async-gen@latest',
      })
    }
    return { generator, answers: { ...shared, ...answers } }
  })
}

/** What async-gen remembers, where a command is nothing without it. */
export function requireManifest(manifest: Manifest | null): Manifest {
  if (manifest) return manifest
  throw new UsageError(notInstalled(MANIFEST))
}
