import { isDeepStrictEqual } from 'node:util'
import { type Eol, eolOf, readText, withEol } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import type { Conflict } from './decide.js'
import { basePath, hashOf, isRecordPath, MANIFEST, type Manifest, manifestText } from './manifest.js'

export type ChangeKind =
  | 'create'
  | 'identical'
  | 'update'
  /** The user's edits and our changes, in one text. */
  | 'merge'
  /** One conflict is enough for nothing to be written. */
  | 'conflict'
  /** The user's text stays as it is. */
  | 'keep'
  /** The user deleted the file, and it stays deleted. */
  | 'removed'
  /** An earlier version emitted the file. This one does not. */
  | 'orphan'
  | 'delete'

/** One line of the printed plan. */
export interface Change {
  kind: ChangeKind
  path: string
  /** Printed in parentheses after the path. */
  detail?: string
  conflict?: Conflict
}

export interface Write {
  path: string
  /** The text now; null if the file does not exist. */
  before: string | null
  /** The text after the write; null to delete the file. */
  after: string | null
}

/** An unfinished plan: the host's texts and the manifest as they will be. Nothing is on the disk yet. */
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

  /** Uses the line endings of the file; those of the host if the file is new. */
  write(path: string, text: string, eol?: Eol) {
    const current = this.read(path)
    const { before } = this.#texts.get(path)!
    this.#texts.set(path, { before, after: withEol(text, eol ?? (current === null ? this.host.eol : eolOf(current))) })
  }

  delete(path: string) {
    this.read(path)
    this.#texts.set(path, { before: this.#texts.get(path)!.before, after: null })
  }

  /** Stores the emitted text, so that a later run can detect and merge the user's edits. */
  remember(key: string, owner: string, text: string) {
    this.manifest.files[key] = { owner, hash: hashOf(text) }
    this.write(basePath(key), text, '\n')
  }

  forget(key: string) {
    delete this.manifest.files[key]
    this.delete(basePath(key))
  }

  /** What the last run emitted; null if it emitted nothing. `text` is null if the copy in .async-gen/base is lost. */
  emitted(key: string): { hash: string; text: string | null; owner: string } | null {
    const entry = this.manifest.files[key]
    if (!entry) return null
    const text = this.read(basePath(key))
    return { ...entry, text: text !== null && hashOf(text) === entry.hash ? text : null }
  }

  /** The user's files first, then those in .async-gen, with the manifest last. */
  writes(): Write[] {
    const written = this.read(MANIFEST)
    if (Object.keys(this.manifest.generators).length === 0) this.delete(MANIFEST)
    // Compared by value: the host's formatter may have changed the layout of the file.
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
