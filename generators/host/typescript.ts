import { getTsconfig } from 'get-tsconfig'
import { HostError } from './errors.js'

export interface ModuleStyle {
  /** What a relative import ends in, so that the host's compiler and its runner both find the file. */
  ext: '.js' | '.ts' | ''
  /** Whether a .ts file is an ES module when it runs; a CommonJS file has no `import.meta`. */
  esm: boolean
  /** The strictness that what we emit has to pass. */
  options: { verbatimModuleSyntax: boolean; exactOptionalPropertyTypes: boolean; erasableSyntaxOnly: boolean }
  /** `compilerOptions.paths`: `@/*` and the like. */
  paths: Record<string, string[]>
}

/** How the host writes its modules: after its tsconfig (with what that extends), else after package.json's type. */
export function moduleStyleOf(root: string, type: 'module' | 'commonjs'): ModuleStyle {
  const esm = type === 'module'
  const options = compilerOptions(root)
  return {
    ext: specifierEnding(options, esm),
    esm,
    options: {
      verbatimModuleSyntax: options?.verbatimModuleSyntax ?? false,
      exactOptionalPropertyTypes: options?.exactOptionalPropertyTypes ?? false,
      erasableSyntaxOnly: options?.erasableSyntaxOnly ?? false,
    },
    paths: options?.paths ?? {},
  }
}

function specifierEnding(options: ReturnType<typeof compilerOptions>, esm: boolean): ModuleStyle['ext'] {
  if (!options) return esm ? '.js' : ''
  if (options.allowImportingTsExtensions || options.rewriteRelativeImportExtensions) return '.ts'
  const likeNode = /^node(16|18|20|next)$/i.test(options.moduleResolution ?? options.module ?? '')
  return likeNode && esm ? '.js' : ''
}

function compilerOptions(root: string) {
  try {
    return getTsconfig(root)?.config.compilerOptions
  } catch (error) {
    throw new HostError({
      code: 'TSCONFIG_INVALID',
      message: `tsconfig.json cannot be read: ${(error as Error).message}`,
      where: root,
      remedy: 'Mend it (`npx tsc --showConfig` says more), then run the command again.',
    })
  }
}
