import { isDeepStrictEqual } from 'node:util'
import { type Eol, eolOf, readText, withEol } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { Verdict } from './decide.js'
import { basePath, hashOf, MANIFEST, type Manifest, manifestText } from './manifest.js'

/** One line of what a run does. */
export interface Change {
  kind: Verdict
  path: string
  /** What the kind alone does not say. */
  detail?: string
}

export interface Write {
  path: string
  /** What is there now; null for a file that does not exist. */
  before: string | null
  after: string
}

/** A plan in the making: the texts of the host as they will be, and what the manifest will say of them. */
export class Draft {
  readonly host: Host
  readonly manifest: Manifest
  readonly changes: Change[] = []
  readonly #texts = new Map<string, { before: string | null; after: string | null }>()
  readonly #emitted = new Map<string, string>()

  constructor(host: Host, manifest: Manifest) {
    this.host = host
    this.manifest = structuredClone(manifest)
  }

  read(path: string): string | null {
    const known = this.#texts.get(path)
    if (known) return known.after
    const text = readText(this.host.root, path)
    this.#texts.set(path, { before: text, after: text })
    return text
  }

  /** In the line endings that the file has, or the host has where it is new. */
  write(path: string, text: string, eol?: Eol) {
    const current = this.read(path)
    const { before } = this.#texts.get(path)!
    this.#texts.set(path, { before, after: withEol(text, eol ?? (current === null ? this.host.eol : eolOf(current))) })
  }

  /** Keeps what was emitted, so that a later run can tell an edit from it, and merge. */
  remember(key: string, owner: string, text: string) {
    this.manifest.files[key] = { owner, hash: hashOf(text) }
    this.#emitted.set(key, text)
  }

  /** What the user gets, then what async-gen keeps for itself: the manifest comes last. */
  writes(): Write[] {
    for (const [key, text] of this.#emitted) this.write(basePath(key), text, '\n')
    const written = this.read(MANIFEST)
    // By value: the host's formatter may have had its way with the file.
    if (written === null || !isDeepStrictEqual(JSON.parse(written), this.manifest)) {
      this.write(MANIFEST, manifestText(this.manifest), '\n')
    }
    return [...this.#texts].flatMap(([path, { before, after }]) =>
      after !== null && after !== before ? [{ path, before, after }] : [],
    )
  }
}
