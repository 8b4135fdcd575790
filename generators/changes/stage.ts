import Handlebars from 'handlebars'
import type { PackageAdditions } from '../host/package-json.js'
import { canonicalFragment } from '../host/prisma-schema.js'

/** What a template may name. */
export type Context = { [name: string]: string | boolean | Context }

interface Templated {
  /** Whose it is in the manifest: `attempt EmailAttempt`. */
  owner: string
  /** A file in templates/, without `.hbs`. */
  template: string
  context: Context
}

interface FileTarget {
  kind: 'file'
  path: string
  /** Several generators emit it, and the first one's stays. */
  shared: boolean
  /** The host's formatter is not asked: it is no code, or not the host's. */
  verbatim?: boolean
}

interface FragmentTarget {
  kind: 'fragment'
  /** Of the section, or of the file in a folder schema. */
  name: string
  /** What to do when the host has a model, enum or table of that name; absent where ours have one name only. */
  ifTaken?: string
  /** Which schema of the database its models are in, where the host's models have to say so. */
  databaseSchema?: string | undefined
}

interface MigrationTarget {
  kind: 'migration'
  name: string
}

type PackageTarget = PackageAdditions & { kind: 'package' }

/** Something that the user should know, and that is no change. */
interface Note {
  kind: 'note'
  text: string
}

/** What a generator wants the host to have: data, and nothing is rendered or read yet. */
export type Emission = ((FileTarget | FragmentTarget | MigrationTarget) & Templated) | PackageTarget | Note

interface Rendered {
  owner: string
  text: string
}

export type StagedFile = FileTarget & Rendered
export type StagedFragment = FragmentTarget & Rendered
export type StagedMigration = MigrationTarget & Rendered

/** The same, rendered into memory. */
export type Staged = StagedFile | StagedFragment | StagedMigration | PackageTarget | Note

/** The text of a template, by its name. */
export type Templates = (template: string) => string

export function stage(emissions: Emission[], templates: Templates): Staged[] {
  return emissions.map((emission) => {
    if (emission.kind === 'package' || emission.kind === 'note') return emission
    const { template, context, ...target } = emission
    const text = render(templates(template), context)
    return { ...target, text: target.kind === 'fragment' ? fragmentText(text, target) : text }
  })
}

function fragmentText(text: string, { databaseSchema }: FragmentTarget): string {
  const placed = databaseSchema ? text.replaceAll(/^\}/gm, `  @@schema("${databaseSchema}")\n}`) : text
  return canonicalFragment(placed)
}

// An instance of our own: helpers that a host's plopfile registers do not reach our templates.
const handlebars = Handlebars.create()

/** Strict, and over an object without a prototype: a name that the context lacks is an error, never an empty string. */
export function render(template: string, context: Context): string {
  return handlebars.compile(template, { noEscape: true, strict: true })(bare(context))
}

function bare(context: Context): Context {
  const entries = Object.entries(context).map(([key, value]) => [key, typeof value === 'object' ? bare(value) : value])
  const spoken = { [Symbol.toPrimitive]: () => 'the context of the template' } // for Handlebars' own error message
  return Object.assign(Object.create(null), spoken, Object.fromEntries(entries))
}
