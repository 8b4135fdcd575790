import { getTsconfig } from 'get-tsconfig'
import { HostError } from './errors.js'

export interface ModuleStyle {
  /** What a relative import ends in, so that the host's compiler and its runner both find the file. */
  ext: '.js' | '.ts' | ''
  /** Whether a .ts file is an ES module when it runs; a CommonJS file has no `import.meta`. */
  esm: boolean
}

/** How the host writes its modules: after its tsconfig (with what that extends), else after package.json's type. */
export function moduleStyleOf(root: string, type: 'module' | 'commonjs'): ModuleStyle {
  const esm = type === 'module'
  const options = compilerOptions(root)
  if (!options) return { ext: esm ? '.js' : '', esm }
  if (options.allowImportingTsExtensions || options.rewriteRelativeImportExtensions) return { ext: '.ts', esm }
  const likeNode = /^node(16|18|20|next)$/i.test(options.moduleResolution ?? options.module ?? '')
  return { ext: likeNode && esm ? '.js' : '', esm }
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
