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
  /** The module system of .ts and .js files. */
  type: 'module' | 'commonjs'
  /** The names in all kinds of dependencies. */
  packages: string[]
  /** Their versions, as package.json has them: `^30.0.0`, `catalog:`. */
  ranges: Record<string, string>
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
      message: 'There is no package.json in this folder.',
      where: root,
      remedy: 'Run async-gen in the folder of your application, or name that folder: --cwd <folder>',
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
  const ranges: Record<string, string> = Object.assign({}, ...FIELDS.map((field) => json[field]))
  return {
    text,
    type: json.type === 'module' ? 'module' : 'commonjs',
    packages: Object.keys(ranges),
    ranges,
    scripts: json.scripts ?? {},
  }
}

/** The entries that async-gen added to package.json. An upgrade may update them, and `destroy` removes them. */
export interface PackageRecord extends PackageAdditions {
  /** The fields that did not exist before. */
  fields: string[]
}

export const nothingAdded: PackageRecord = { dependencies: {}, devDependencies: {}, scripts: {}, fields: [] }

/**
 * Adds missing entries to the text of package.json, and updates those of an earlier run. The host's own entries stay: a
 * package in any field and version, and a script of the same name.
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

/** Removes the recorded entries from the text of package.json. Those that the user has changed are in `kept`. */
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
  // npm sorts dependencies, but not scripts. If the field is missing, jsonc-parser would pass the names of package.json itself.
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
