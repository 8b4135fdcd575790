import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Draft } from '../changes/draft.js'
import { hashOf, type Manifest, RECORDS } from '../changes/manifest.js'
import type { StagedFile, Templates } from '../changes/stage.js'
import { templates as folder } from '../host/own-package.js'

/** The path of an ejected template in the host. */
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

/** The text of a template in this package. */
export function packagedTemplate(template: string): string {
  return readFileSync(join(folder, `${template}.hbs`), 'utf8')
}

/** Reads a template: the host's copy if it has ejected it, else ours. */
export function templatesOf(draft: Draft): Templates {
  return (template) => draft.read(ejectedPath(template)) ?? packagedTemplate(template)
}

/** A template as an emitted file, which an upgrade merges like any other. */
export function stagedTemplate(template: string): StagedFile {
  const text = packagedTemplate(template)
  return { kind: 'file', path: ejectedPath(template), owner: EJECTED, text, shared: false, verbatim: true }
}

export const EJECTED = 'eject'

/** The templates that the host has ejected. */
export function ejectedTemplates(manifest: Manifest | null): string[] {
  return templateNames().filter((template) => manifest?.files[ejectedPath(template)]?.owner === EJECTED)
}

/** The ejected templates that this package has changed since then. */
export function staleTemplates(manifest: Manifest | null): string[] {
  return ejectedTemplates(manifest).filter(
    (template) => manifest!.files[ejectedPath(template)]!.hash !== hashOf(packagedTemplate(template)),
  )
}
