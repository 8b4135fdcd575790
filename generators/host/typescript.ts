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
  /** What a relative import ends in, so that the host's compiler and its runner both find the file. */
  ext: '.js' | '.ts' | ''
  /** The same for a relative `import()`: under nodenext, also that of a CommonJS file has to name the file's ending. */
  dynamicExt: '.js' | '.ts' | ''
  /** Whether a .ts file is an ES module when it runs; a CommonJS file has no `import.meta`. */
  esm: boolean
  /** The strictness that what we emit has to pass. */
  options: {
    verbatimModuleSyntax: boolean
    exactOptionalPropertyTypes: boolean
    erasableSyntaxOnly: boolean
    noPropertyAccessFromIndexSignature: boolean
  }
  /** `compilerOptions.paths`: `@/*` and the like. */
  paths: Record<string, string[]>
  /** Where those lead for a specifier, relative to the host. */
  resolvePath(specifier: string): string[]
}

/** How the host writes its modules: after its tsconfig (with what that extends), else after package.json's type. */
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

/** The tsconfig.json that applies here, and those that it refers to: what builds `src/` may be in a tsconfig.app.json. */
function readTsconfigs(root: string): TsConfigResult[] {
  try {
    const found = getTsconfig(root)
    return found ? withReferences(found) : []
  } catch (error) {
    throw new HostError({
      code: 'TSCONFIG_INVALID',
      message: `tsconfig.json cannot be read: ${(error as Error).message}`,
      where: root,
      remedy: 'Install the dependencies where it extends one of them, or mend it: `npx tsc --showConfig` says more.',
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

/** The one whose options apply to a file in `src/`. A tsconfig.json that only refers to others applies to none. */
function mainOf(root: string, tsconfigs: TsConfigResult[]): TsConfigResult | undefined {
  const [first, ...referenced] = tsconfigs
  if (!first || !isSolution(first)) return first
  const source = join(root, 'src', 'async', 'worker.ts')
  return referenced.find((tsconfig) => createFilesMatcher(tsconfig)(source)) ?? referenced[0] ?? first
}

function isSolution({ config }: TsConfigResult): boolean {
  return config.files?.length === 0 && !config.include && Boolean(config.references?.length)
}
