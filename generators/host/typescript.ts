import { createPathsMatcher, getTsconfig, type TsConfigJson, type TsConfigResult } from 'get-tsconfig'
import { HostError } from './errors.js'
import { hostPath } from './files.js'

export interface ModuleStyle {
  /** What a relative import ends in, so that the host's compiler and its runner both find the file. */
  ext: '.js' | '.ts' | ''
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
  const tsconfig = readTsconfig(root)
  const options = tsconfig?.config.compilerOptions
  const matcher = tsconfig && createPathsMatcher(tsconfig)
  return {
    ext: specifierEnding(options, esm),
    esm,
    options: {
      verbatimModuleSyntax: options?.verbatimModuleSyntax ?? false,
      exactOptionalPropertyTypes: options?.exactOptionalPropertyTypes ?? false,
      erasableSyntaxOnly: options?.erasableSyntaxOnly ?? false,
      noPropertyAccessFromIndexSignature: options?.noPropertyAccessFromIndexSignature ?? false,
    },
    paths: options?.paths ?? {},
    resolvePath: (specifier) => (matcher?.(specifier) ?? []).map((path) => hostPath(root, path)),
  }
}

function specifierEnding(options: TsConfigJson.CompilerOptions | undefined, esm: boolean): ModuleStyle['ext'] {
  if (!options) return esm ? '.js' : ''
  if (options.allowImportingTsExtensions || options.rewriteRelativeImportExtensions) return '.ts'
  const likeNode = /^node(16|18|20|next)$/i.test(options.moduleResolution ?? options.module ?? '')
  return likeNode && esm ? '.js' : ''
}

function readTsconfig(root: string): TsConfigResult | null {
  try {
    return getTsconfig(root)
  } catch (error) {
    throw new HostError({
      code: 'TSCONFIG_INVALID',
      message: `tsconfig.json cannot be read: ${(error as Error).message}`,
      where: root,
      remedy: 'Install the dependencies where it extends one of them, or mend it: `npx tsc --showConfig` says more.',
    })
  }
}
