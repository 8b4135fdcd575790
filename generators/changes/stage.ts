import Handlebars from 'handlebars'
import type { PackageAdditions } from '../host/package-json.js'
import { canonicalFragment } from '../host/prisma-schema.js'

/** The values that a template may use. */
export type Context = { [name: string]: string | boolean | Context }

interface Templated {
  /** The owner in the manifest: `attempt EmailAttempt`. */
  owner: string
  /** A file in templates/, without `.hbs`. */
  template: string
  context: Context
}

interface FileTarget {
  kind: 'file'
  path: string
  /** Several generators emit it; an existing file is never replaced. */
  shared: boolean
  /** Not formatted by the host's formatter, because it is not the host's code. */
  verbatim?: boolean
}

interface FragmentTarget {
  kind: 'fragment'
  /** The name of the section, or of the file in a folder schema. */
  name: string
  /** The remedy if the host has a model, enum or table of that name; absent if ours cannot have another name. */
  ifTaken?: string
  /** The database schema of its models, if the host's datasource lists schemas. */
  databaseSchema?: string | undefined
}

interface MigrationTarget {
  kind: 'migration'
  name: string
}

type PackageTarget = PackageAdditions & { kind: 'package' }

/** Information for the user that is not a change. */
interface Note {
  kind: 'note'
  text: string
}

/** What a generator emits, as data: nothing is rendered yet. */
export type Emission = ((FileTarget | FragmentTarget | MigrationTarget) & Templated) | PackageTarget | Note

interface Rendered {
  owner: string
  text: string
}

export type StagedFile = FileTarget & Rendered
export type StagedFragment = FragmentTarget & Rendered
export type StagedMigration = MigrationTarget & Rendered

/** An emission, rendered into memory. */
export type Staged = StagedFile | StagedFragment | StagedMigration | PackageTarget | Note

/** Returns the text of a template. */
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

// A separate instance: helpers from the host's plopfile must not affect our templates.
const handlebars = Handlebars.create()

/** Throws on a name that the context does not have. (Handlebars renders an empty string, or finds it on the prototype.) */
export function render(template: string, context: Context): string {
  return compile(template)(withoutPrototype(context))
}

const compiled = new Map<string, Handlebars.TemplateDelegate>()

/** Compiles each template once: several attempts and reports are rendered from the same ones. */
function compile(template: string): Handlebars.TemplateDelegate {
  const known = compiled.get(template) ?? handlebars.compile(template, { noEscape: true, strict: true })
  compiled.set(template, known)
  return known
}

function withoutPrototype(context: Context): Context {
  const entries = Object.entries(context).map(([key, value]) => [
    key,
    typeof value === 'object' ? withoutPrototype(value) : value,
  ])
  const printable = { [Symbol.toPrimitive]: () => 'the context of the template' } // for Handlebars' error message
  return Object.assign(Object.create(null), printable, Object.fromEntries(entries))
}
