import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { parse } from 'jsonc-parser'
import { upwards } from './files.js'

/** The formatter that the host has configured and installed; null for none. */
export type FormatterName = 'biome' | 'prettier' | 'dprint' | null

/** Formats a text with the host's formatter. A text that the formatter ignores or cannot parse stays as it is. */
export type Format = (path: string, text: string) => Promise<string>

/** `failures` has the formatter's error for each path on which it failed. */
export type FormatWithFailures = Format & { readonly failures: ReadonlyMap<string, Error> }

/** Searches for a formatter from the host up to the root of its repository. */
export function formatterOf(root: string, packages: string[]): FormatterName {
  const folders = upwards(root)
  const has = (file: string) => folders.map((folder) => join(folder, file)).find((path) => existsSync(path))
  const biome = has('biome.json') ?? has('biome.jsonc')
  if (biome && resolves(root, '@biomejs/biome/package.json') && formats(biome)) return 'biome'
  const named = packages.includes('prettier') || PRETTIER_CONFIGS.some(has) || prettierInPackageJson(folders)
  if (named && resolves(root, 'prettier/package.json')) return 'prettier'
  if ((has('dprint.json') ?? has('dprint.jsonc')) && resolves(root, 'dprint/package.json')) return 'dprint'
  return null
}

/** Formats with the host's own installation, in the host's folder. It formats each text once. */
export function formatWith(name: FormatterName, root: string): FormatWithFailures {
  const failures = new Map<string, Error>()
  if (!name) return Object.assign(async (_path: string, text: string) => text, { failures })
  const run = { biome: biomeIn, prettier: prettierIn, dprint: dprintIn }[name](root)
  const known = new Map<string, Promise<string>>()
  const format: Format = (path, text) => {
    const key = `${path}\n${text}`
    const formatted =
      known.get(key) ??
      run(path, text).catch((error: Error) => {
        failures.set(path, error)
        return text
      })
    known.set(key, formatted)
    return formatted
  }
  return Object.assign(format, { failures })
}

/** A note about texts that could not be formatted. */
export function formatterNotes(name: FormatterName, { failures }: FormatWithFailures): string[] {
  const [[path, error] = []] = failures
  if (path === undefined) return []
  const others = failures.size > 1 ? ` and ${failures.size - 1} more files` : ''
  const [reason] = error!.message.split('\n')
  return [`${name} failed on ${path}${others}: ${reason}. async-gen writes these files unformatted`]
}

const PRETTIER_CONFIGS = ['', '.json', '.yaml', '.yml', '.json5', '.js', '.cjs', '.mjs', '.ts', '.mts', '.cts', '.toml']
  .map((suffix) => `.prettierrc${suffix}`)
  .concat(['js', 'cjs', 'mjs', 'ts', 'mts', 'cts'].map((suffix) => `prettier.config.${suffix}`))

function prettierIn(root: string): Format {
  interface Prettier {
    resolveConfig(file: string, options: object): Promise<object | null>
    getFileInfo(file: string, options: object): Promise<{ ignored: boolean; inferredParser: string | null }>
    format(text: string, options: object): Promise<string> | string
  }
  const load = import(pathToFileURL(createRequire(join(root, 'package.json')).resolve('prettier')).href)
  return async (path, text) => {
    const module = await load
    const prettier: Prettier = module.default ?? module
    const file = join(root, path)
    const ignorePath = upwards(root)
      .map((folder) => join(folder, '.prettierignore'))
      .find(existsSync)
    const info = await prettier.getFileInfo(file, { ignorePath })
    if (info.ignored || !info.inferredParser) return text
    const config = await prettier.resolveConfig(file, { editorconfig: true, useCache: false })
    return prettier.format(text, { ...config, filepath: file })
  }
}

function biomeIn(root: string): Format {
  const [command, ...script] = biomeCommand(root)
  const biome = (args: string[], path: string, text: string) =>
    pipe(command, [...script, ...args, `--stdin-file-path=${path}`], root, text)
  // `check` also sorts imports if the host has enabled it, as its `biome ci` requires. An older Biome can only `format`.
  return (path, text) =>
    biome(['check', '--write', '--linter-enabled=false'], path, text).catch(() => biome(['format'], path, text))
}

/**
 * Biome's program for this platform. Its script would start Node once more for each text; it is used if the platform package is missing, or
 * if both Linux packages are installed (for glibc and for musl).
 */
function biomeCommand(root: string): [command: string, ...args: string[]] {
  const script = createRequire(join(root, 'package.json')).resolve('@biomejs/biome/bin/biome')
  const { platform, arch } = process
  const file = platform === 'win32' ? 'biome.exe' : 'biome'
  const names = ['', '-musl'].map((libc) => `@biomejs/cli-${platform}-${arch}${libc}/${file}`)
  const [program, another] = names.filter((name) => resolves(dirname(script), name))
  if (program === undefined || another !== undefined) return [process.execPath, script]
  return [createRequire(script).resolve(program)]
}

function dprintIn(root: string): Format {
  const manifest = createRequire(join(root, 'package.json')).resolve('dprint/package.json')
  // Read from package.json, because versions differ: bin.js, bin.cjs.
  const program = join(dirname(manifest), parse(readFileSync(manifest, 'utf8')).bin)
  return (path, text) => {
    // dprint applies its includes and excludes to an existing path. For a new file it needs only the name.
    const file = join(root, path)
    return pipe(process.execPath, [program, 'fmt', '--stdin', existsSync(file) ? file : basename(path)], root, text)
  }
}

function pipe(command: string, args: string[], cwd: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'] })
    let output = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk
    })
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0 && output !== '') resolve(output)
      else reject(new Error(firstMessageLine(stderr) ?? `it exited with code ${code}`))
    })
    child.stdin.on('error', reject).end(text)
  })
}

/** The first line with words, without rulers and colours. */
function firstMessageLine(stderr: string): string | undefined {
  return stripVTControlCharacters(stderr)
    .split('\n')
    .map((line) => line.trim())
    .find((line) => /\w{3}/.test(line))
}

/** Some projects use only Biome's linter. */
function formats(biomeConfig: string): boolean {
  return parse(readFileSync(biomeConfig, 'utf8'))?.formatter?.enabled !== false
}

function prettierInPackageJson(folders: string[]): boolean {
  return folders.some((folder) => {
    const file = join(folder, 'package.json')
    if (!existsSync(file)) return false
    const { prettier, dependencies, devDependencies } = parse(readFileSync(file, 'utf8')) ?? {}
    return [prettier, dependencies?.prettier, devDependencies?.prettier].some((named) => named !== undefined)
  })
}

function resolves(root: string, file: string): boolean {
  try {
    createRequire(join(root, 'package.json')).resolve(file)
    return true
  } catch {
    return false
  }
}
