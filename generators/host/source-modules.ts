import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import type { Program } from 'oxc-parser'
import { HostError } from './errors.js'
import { isFolder, readText } from './files.js'
import type { ModuleStyle } from './typescript.js'

type Parse = typeof import('oxc-parser').parseSync

/** The part of a host that is needed to read its sources. */
export type Sources = { root: string; modules: Pick<ModuleStyle, 'resolvePath'> }

/** A node of the syntax tree. Its children are read by name. */
export interface Node {
  type: string
  start: number
  // biome-ignore lint/suspicious/noExplicitAny: the shape depends on the type, and is checked where it is read
  [child: string]: any
}

/** The host's source modules. Each is read and parsed once, on first use. */
export class SourceModules {
  readonly #root: string
  readonly #aliases: ModuleStyle['resolvePath']
  readonly #parse: Parse
  readonly #texts = new Map<string, string>()
  readonly #programs = new Map<string, Program>()

  private constructor(root: string, aliases: ModuleStyle['resolvePath'], parse: Parse) {
    this.#root = root
    this.#aliases = aliases
    this.#parse = parse
  }

  /** Loads the parser here, because most commands do not need it. */
  static async of({ root, modules }: Sources): Promise<SourceModules> {
    return new SourceModules(root, modules.resolvePath, await loadParser(root))
  }

  /** Every source file of the host, without build output, generated code, type declarations and specs. */
  paths(folder = ''): string[] {
    return readdirSync(join(this.#root, folder), { withFileTypes: true })
      .sort((a, b) => a.name.localeCompare(b.name))
      .flatMap((entry) => {
        const path = folder ? `${folder}/${entry.name}` : entry.name
        if (entry.isDirectory()) return SKIPPED_FOLDER.test(entry.name) ? [] : this.paths(path)
        return entry.isFile() && SOURCE.test(entry.name) ? [path] : []
      })
  }

  text(path: string): string {
    const known = this.#texts.get(path)
    if (known !== undefined) return known
    const text = readText(this.#root, path) ?? ''
    this.#texts.set(path, text)
    return text
  }

  /** For a file that does not parse: an empty program, or the part before the error. */
  program(path: string): Program {
    const known = this.#programs.get(path)
    if (known) return known
    const program = this.#parse(path, this.text(path), { lang: languageOf(path) }).program
    this.#programs.set(path, program)
    return program
  }

  /** The file of the host that an import resolves to; undefined for a package. */
  resolve(specifier: string, from: string): string | undefined {
    const candidates = specifier.startsWith('.') ? [join(dirname(from), specifier)] : this.#aliases(specifier)
    return candidates.map((candidate) => this.file(candidate)).find((file) => file !== undefined)
  }

  /** The path of an import whose file may not be generated yet; undefined for a package. */
  expected(specifier: string, from: string): string | undefined {
    if (specifier.startsWith('.')) return join(dirname(from), specifier)
    return this.#aliases(specifier).find((path) => isFolder(join(this.#root, path.split('/')[0]!)))
  }

  /** The source file of a path without extension, with its own extension, or with that of the compiled file. */
  file(path: string): string | undefined {
    const source = path.replace(/\.([cm]?)js$/, '.$1ts')
    return [path, source, ...SUFFIXES.map((suffix) => path + suffix)]
      .map((candidate) => normalize(candidate))
      .find((candidate) => SOURCE_FILE.test(candidate) && this.#isFile(candidate))
  }

  #isFile(path: string): boolean {
    const file = join(this.#root, path)
    return existsSync(file) && !isFolder(file)
  }
}

const SKIPPED_FOLDER = /^(\..*|node_modules|dist|build|out|coverage|generated)$/
const SOURCE_FILE = /(?<!\.d)\.[cm]?[jt]sx?$/
const SOURCE = /(?<!\.d|\.test|\.spec|\.mock)\.[cm]?[jt]sx?$/
const SUFFIXES = ['.ts', '.mts', '.cts', '.tsx', '.js', '.mjs', '.cjs', '/index.ts', '/index.tsx', '/index.js']

/** A .js file may contain JSX. A .ts file may not: `<T>value` is a cast there. */
function languageOf(path: string) {
  if (path.endsWith('.tsx')) return 'tsx'
  return /\.[cm]?ts$/.test(path) ? 'ts' : 'jsx'
}

async function loadParser(root: string): Promise<Parse> {
  try {
    return (await import('oxc-parser')).parseSync
  } catch (error) {
    throw new HostError({
      code: 'PARSER_UNAVAILABLE',
      message: `async-gen cannot load the parser for your sources: ${(error as Error).message}`,
      where: root,
      remedy:
        'Install again, with optional dependencies: the parser needs one of the optional packages @oxc-parser/binding-….',
    })
  }
}

/** Visits a node and its descendants. It skips the children of a node if `visit` returns false. */
export function walk(node: unknown, visit: (node: Node) => boolean | undefined): void {
  if (Array.isArray(node)) {
    for (const each of node) walk(each, visit)
    return
  }
  if (!isNode(node) || visit(node) === false) return
  for (const child of Object.values(node)) if (typeof child === 'object') walk(child, visit)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value
}
