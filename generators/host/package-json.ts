import {
  applyEdits,
  type FormattingOptions,
  type ModificationOptions,
  modify,
  type ParseError,
  parse,
} from 'jsonc-parser'
import { HostError } from './errors.js'
import { eolOf, readText } from './files.js'

export interface PackageJson {
  text: string
  /** What Node makes of a .ts or .js file here. */
  type: 'module' | 'commonjs'
  /** Every package that is named, in dependencies of any kind. */
  packages: string[]
  scripts: Record<string, string>
}

export interface PackageAdditions {
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  scripts: Record<string, string>
}

const FIELDS = ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies']

export function readPackageJson(root: string): PackageJson {
  const text = readText(root, 'package.json')
  if (text === null) {
    throw new HostError({
      code: 'NO_PACKAGE_JSON',
      message: 'There is no package.json here.',
      where: root,
      remedy: 'Run async-gen in the folder of your application, or name it: --cwd <folder>',
    })
  }
  const errors: ParseError[] = []
  const json = parse(text, errors)
  if (errors.length > 0 || typeof json !== 'object' || json === null) {
    throw new HostError({
      code: 'PACKAGE_JSON_INVALID',
      message: 'package.json is not valid JSON.',
      where: `${root}/package.json`,
      remedy: 'Fix the file, then run the command again.',
    })
  }
  return {
    text,
    type: json.type === 'module' ? 'module' : 'commonjs',
    packages: FIELDS.flatMap((field) => Object.keys(json[field] ?? {})),
    scripts: json.scripts ?? {},
  }
}

/** What was put into package.json, so that an upgrade can raise it and a removal take it out. */
export interface PackageRecord extends PackageAdditions {
  /** Fields that were not there before. */
  fields: string[]
}

export const nothingAdded: PackageRecord = { dependencies: {}, devDependencies: {}, scripts: {}, fields: [] }

/**
 * The text of package.json with what is missing put in, and what an earlier run put in brought up to date. What the host
 * has of its own, it keeps: a package in any field, at any version, and a script of the same name.
 */
export function addToPackageJson(
  before: string,
  additions: PackageAdditions,
  record: PackageRecord = nothingAdded,
): { text: string; record: PackageRecord } {
  const added = structuredClone(record)
  let text = before
  for (const field of ADDED_FIELDS) {
    for (const [name, value] of Object.entries(additions[field])) {
      const json = parse(text)
      const present = json[field]?.[name]
      const elsewhere = field !== 'scripts' && FIELDS.some((other) => other !== field && json[other]?.[name])
      if (elsewhere || present === value) continue
      if (present !== undefined && present !== record[field][name]) continue
      if (json[field] === undefined) added.fields.push(field)
      added[field][name] = value
      text = withEntry(text, field, name, value)
    }
  }
  return { text, record: added }
}

/** The text of package.json without what was put in, where that is still as it was. */
export function removeFromPackageJson(before: string, record: PackageRecord): { text: string; kept: string[] } {
  let text = before
  const kept: string[] = []
  for (const field of ADDED_FIELDS) {
    for (const [name, value] of Object.entries(record[field])) {
      const present = parse(text)[field]?.[name]
      if (present === value) text = edited(text, [field, name], undefined)
      else if (present !== undefined) kept.push(`${field}.${name}`)
    }
    const left = parse(text)[field]
    if (left && Object.keys(left).length === 0)
      text = edited(text, [field], record.fields.includes(field) ? undefined : {})
  }
  return { text, kept }
}

const ADDED_FIELDS = ['dependencies', 'devDependencies', 'scripts'] as const

function withEntry(text: string, field: string, name: string, value: string): string {
  // npm keeps dependencies in alphabetical order; scripts have the order of their author. Of a field that is missing the
  // names would be those of package.json itself.
  const sorted = field !== 'scripts' && parse(text)[field]
  return edited(
    text,
    [field, name],
    value,
    sorted && { getInsertionIndex: (names) => names.filter((other) => other < name).length },
  )
}

function edited(text: string, path: string[], value: unknown, options: ModificationOptions = {}): string {
  return applyEdits(text, modify(text, path, value, { formattingOptions: formattingOf(text), ...options }))
}

function formattingOf(text: string): FormattingOptions {
  const indent = /^[ \t]+/m.exec(text)?.[0] ?? '  '
  return { insertSpaces: !indent.includes('\t'), tabSize: indent.includes('\t') ? 1 : indent.length, eol: eolOf(text) }
}
