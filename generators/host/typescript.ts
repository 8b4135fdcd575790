import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import {
  createFilesMatcher,
  createPathsMatcher,
  getTsconfig,
  parseTsconfig,
  type TsConfigJson,
  type TsConfigResult,
} from 'get-tsconfig'
import { HostError } from './errors.js'
import { hostPath, isFolder } from './files.js'

export interface ModuleStyle {
  /** The extension in relative imports that both the host's compiler and its runner accept. */
  ext: '.js' | '.ts' | ''
  /** The extension in a relative `import()`. With nodenext, a CommonJS file needs it too. */
  dynamicExt: '.js' | '.ts' | ''
  /** Whether .ts files are ES modules at run time. A CommonJS file has no `import.meta`. */
  esm: boolean
  /** Compiler options that the emitted code has to pass. */
  options: {
    verbatimModuleSyntax: boolean
    exactOptionalPropertyTypes: boolean
    erasableSyntaxOnly: boolean
    noPropertyAccessFromIndexSignature: boolean
  }
  /** `compilerOptions.paths`: `@/*` and the like. */
  paths: Record<string, string[]>
  /** The files that a specifier can mean by `paths`, relative to the host. */
  resolvePath(specifier: string): string[]
}

/** How the host writes its modules, from its tsconfig (with `extends`), else from the `type` in package.json. */
export function moduleStyleOf(root: string, type: 'module' | 'commonjs'): ModuleStyle {
  const esm = type === 'module'
  const tsconfigs = readTsconfigs(root)
  const options = mainOf(root, tsconfigs)?.config.compilerOptions
  const matchers = tsconfigs.flatMap((tsconfig) => createPathsMatcher(tsconfig) ?? [])
  return {
    ext: specifierEnding(options, esm),
    dynamicExt: specifierEnding(options, esm || isLikeNode(options)),
    esm,
    options: {
      verbatimModuleSyntax: options?.verbatimModuleSyntax ?? false,
      exactOptionalPropertyTypes: options?.exactOptionalPropertyTypes ?? false,
      erasableSyntaxOnly: options?.erasableSyntaxOnly ?? false,
      noPropertyAccessFromIndexSignature: options?.noPropertyAccessFromIndexSignature ?? false,
    },
    paths: Object.assign({}, ...tsconfigs.toReversed().map(({ config }) => config.compilerOptions?.paths)),
    resolvePath: (specifier) => matchers.flatMap((matcher) => matcher(specifier)).map((path) => hostPath(root, path)),
  }
}

function specifierEnding(options: TsConfigJson.CompilerOptions | undefined, esm: boolean): ModuleStyle['ext'] {
  if (!options) return esm ? '.js' : ''
  if (options.allowImportingTsExtensions || options.rewriteRelativeImportExtensions) return '.ts'
  return isLikeNode(options) && esm ? '.js' : ''
}

function isLikeNode(options: TsConfigJson.CompilerOptions | undefined): boolean {
  return /^node(16|18|20|next)$/i.test(options?.moduleResolution ?? options?.module ?? '')
}

/** The host's tsconfig.json and its references: the options of `src/` may be in a tsconfig.app.json. */
function readTsconfigs(root: string): TsConfigResult[] {
  try {
    const found = getTsconfig(root)
    return found ? withReferences(found) : []
  } catch (error) {
    throw new HostError({
      code: 'TSCONFIG_INVALID',
      message: `async-gen cannot read tsconfig.json: ${(error as Error).message}`,
      where: root,
      remedy:
        'If it extends a package, install the dependencies. Otherwise fix it: `npx tsc --showConfig` shows the error.',
    })
  }
}

function withReferences(tsconfig: TsConfigResult, seen = new Set<string>()): TsConfigResult[] {
  if (seen.has(tsconfig.path)) return []
  seen.add(tsconfig.path)
  const referenced = (tsconfig.config.references ?? []).flatMap(({ path }) => {
    const target = resolve(dirname(tsconfig.path), path)
    const file = isFolder(target) ? join(target, 'tsconfig.json') : target
    return existsSync(file) ? withReferences({ path: file, config: parseTsconfig(file) }, seen) : []
  })
  return [tsconfig, ...referenced]
}

/** The tsconfig that applies to files in `src/`. One with references and no files of its own applies to none. */
function mainOf(root: string, tsconfigs: TsConfigResult[]): TsConfigResult | undefined {
  const [first, ...referenced] = tsconfigs
  if (!first || !isSolution(first)) return first
  const source = join(root, 'src', 'async', 'worker.ts')
  return referenced.find((tsconfig) => createFilesMatcher(tsconfig)(source)) ?? referenced[0] ?? first
}

function isSolution({ config }: TsConfigResult): boolean {
  return config.files?.length === 0 && !config.include && Boolean(config.references?.length)
}
