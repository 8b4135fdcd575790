import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Draft } from './changes/draft.js'
import { hashOf, type Manifest, RECORDS } from './changes/manifest.js'
import type { StagedFile, Templates } from './changes/stage.js'
import { templates as folder } from './own-package.js'

/** Where a host keeps a template that it has ejected. */
export function ejectedPath(template: string): string {
  return `${RECORDS}/templates/${template}.hbs`
}

/** The templates of this package, by name: `attempt/async/targets.ts`. */
export function templateNames(): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.hbs'))
    .map((path) => path.replaceAll('\\', '/').slice(0, -'.hbs'.length))
    .sort()
}

/** As this package has it. */
export function packagedTemplate(template: string): string {
  return readFileSync(join(folder, `${template}.hbs`), 'utf8')
}

/** As the host has it where it has ejected it, or else as this package does. */
export function templatesOf(draft: Draft): Templates {
  return (template) => draft.read(ejectedPath(template)) ?? packagedTemplate(template)
}

/** A template as a file of the host, which is merged like any other. */
export function stagedTemplate(template: string): StagedFile {
  const text = packagedTemplate(template)
  return { kind: 'file', path: ejectedPath(template), owner: EJECTED, text, shared: false, verbatim: true }
}

export const EJECTED = 'eject'

/** The templates that the host has ejected. */
export function ejectedTemplates(manifest: Manifest | null): string[] {
  return templateNames().filter((template) => manifest?.files[ejectedPath(template)]?.owner === EJECTED)
}

/** Those of them that this package has changed since. */
export function staleTemplates(manifest: Manifest | null): string[] {
  return ejectedTemplates(manifest).filter(
    (template) => manifest!.files[ejectedPath(template)]!.hash !== hashOf(packagedTemplate(template)),
  )
}
