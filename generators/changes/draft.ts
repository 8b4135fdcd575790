import { isDeepStrictEqual } from 'node:util'
import { type Eol, eolOf, readText, withEol } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { Conflict } from './decide.js'
import { basePath, hashOf, isRecordPath, MANIFEST, type Manifest, manifestText } from './manifest.js'

export type ChangeKind =
  | 'create'
  | 'identical'
  | 'update'
  /** The user's edits and ours, together. */
  | 'merge'
  /** Nothing is written as long as there is one. */
  | 'conflict'
  /** The user's text stays as it is. */
  | 'keep'
  /** The user deleted it, and it stays deleted. */
  | 'removed'
  /** It was emitted once, and nothing emits it now. */
  | 'orphan'
  | 'delete'

/** One line of what a run does. */
export interface Change {
  kind: ChangeKind
  path: string
  /** What the kind alone does not say. */
  detail?: string
  conflict?: Conflict
}

export interface Write {
  path: string
  /** What is there now; null for a file that does not exist. */
  before: string | null
  /** What will be there; null for a file that goes. */
  after: string | null
}

/** A plan in the making: the texts of the host as they will be, and what the manifest will say of them. */
export class Draft {
  readonly host: Host
  readonly manifest: Manifest
  readonly changes: Change[] = []
  readonly #texts = new Map<string, { before: string | null; after: string | null }>()

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

  delete(path: string) {
    this.read(path)
    this.#texts.set(path, { before: this.#texts.get(path)!.before, after: null })
  }

  /** Keeps what was emitted, so that a later run can tell an edit from it, and merge. */
  remember(key: string, owner: string, text: string) {
    this.manifest.files[key] = { owner, hash: hashOf(text) }
    this.write(basePath(key), text, '\n')
  }

  forget(key: string) {
    delete this.manifest.files[key]
    this.delete(basePath(key))
  }

  /** What was emitted the last time, if anything was; its text is null where it has been lost. */
  emitted(key: string): { hash: string; text: string | null; owner: string } | null {
    const entry = this.manifest.files[key]
    if (!entry) return null
    const text = this.read(basePath(key))
    return { ...entry, text: text !== null && hashOf(text) === entry.hash ? text : null }
  }

  /** What the user gets, then what async-gen keeps for itself: the manifest comes last. */
  writes(): Write[] {
    const written = this.read(MANIFEST)
    if (Object.keys(this.manifest.generators).length === 0) this.delete(MANIFEST)
    // By value: the host's formatter may have had its way with the file.
    else if (written === null || !isDeepStrictEqual(JSON.parse(written), this.manifest)) {
      this.write(MANIFEST, manifestText(this.manifest), '\n')
    }
    return [...this.#texts]
      .map(([path, { before, after }]) => ({ path, before, after }))
      .filter(({ before, after }) => after !== before)
      .sort((a, b) => rank(a) - rank(b))
  }
}

function rank({ path }: Write): number {
  return path === MANIFEST ? 2 : isRecordPath(path) ? 1 : 0
}
