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
      remedy: 'Mend it, then run the command again.',
    })
  }
  return {
    text,
    type: json.type === 'module' ? 'module' : 'commonjs',
    packages: FIELDS.flatMap((field) => Object.keys(json[field] ?? {})),
    scripts: json.scripts ?? {},
  }
}

/**
 * The text of package.json with what is missing put in. What the host has, it keeps: a package in any field, at any
 * version, and a script of the same name.
 */
export function addToPackageJson(packageJson: PackageJson, additions: PackageAdditions): string {
  let { text } = packageJson
  const add = (field: string, name: string, value: string) => {
    const options: ModificationOptions = { formattingOptions: formattingOf(text) }
    // npm keeps dependencies in alphabetical order; scripts have the order of their author. Of a field that is missing
    // the names would be those of package.json itself.
    if (field !== 'scripts' && parse(text)[field]) {
      options.getInsertionIndex = (names) => names.filter((other) => other < name).length
    }
    text = applyEdits(text, modify(text, [field, name], value, options))
  }
  for (const field of ['dependencies', 'devDependencies'] as const) {
    for (const [name, range] of Object.entries(additions[field])) {
      if (!packageJson.packages.includes(name)) add(field, name, range)
    }
  }
  for (const [name, command] of Object.entries(additions.scripts)) {
    if (!(name in packageJson.scripts)) add('scripts', name, command)
  }
  return text
}

function formattingOf(text: string): FormattingOptions {
  const indent = /^[ \t]+/m.exec(text)?.[0] ?? '  '
  return { insertSpaces: !indent.includes('\t'), tabSize: indent.includes('\t') ? 1 : indent.length, eol: eolOf(text) }
}
