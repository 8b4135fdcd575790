import { basename, dirname, relative } from 'node:path/posix'
import type { Context, Emission } from './changes/stage.js'
import type { Answers } from './generator.js'
import { HostError } from './host/errors.js'
import type { Host } from './host/inspect.js'
import { type ClientExport, isModuleName } from './host/prisma-client.js'
import type { ModuleStyle } from './host/typescript.js'

/** What all templates may name. */
export function sharedContext({ modules, schema }: Host, { dir, client, urlVariables }: Answers): Context {
  return {
    dir,
    databaseUrl: urlExpression(urlVariables, modules),
    // A host whose relations Prisma alone enforces has no foreign keys, and would see one as drift.
    foreignKeys: schema.relationMode !== 'prisma',
    // Without the preview feature Prisma does not see partial indexes. With it, it drops those that the schema does not declare.
    partialIndexes: schema.previewFeatures.includes('partialIndexes'),
    ext: modules.ext,
    dynamicExt: modules.dynamicExt,
    esm: modules.esm,
    client: {
      name: 'prisma',
      import: clientImport(client, dir, modules.ext),
    },
  }
}

/** What the module that makes the client is written from. */
export function clientContext({ modules }: Host, { dir, clientSource, urlVariables }: Answers): Context | null {
  if (!clientSource) return null
  const { path, name, access, clientClass } = clientSource
  // A default import may have any name.
  const local = name === 'default' ? 'source' : name
  const from = (module: string) => specifier(module, dir, modules.ext)
  return {
    source: name,
    sourceFile: path,
    access: access ? access.replace('$', local) : '',
    // A class of the host may have more than a client has, which a transaction lacks.
    typed: access === 'new $()',
    sourceImport: `import ${name === 'default' ? local : `{ ${name} }`} from '${from(path)}'`,
    clientClass: from(clientClass),
    databaseUrl: urlExpression(urlVariables, modules),
  }
}

function urlExpression(variables: string[], modules: ModuleStyle): string {
  return variables.map((name) => environmentVariable(name, modules)).join(' ?? ')
}

/** How the host's compiler wants a variable of the environment to be read. */
export function environmentVariable(name: string, { options }: ModuleStyle): string {
  return options.noPropertyAccessFromIndexSignature ? `process.env['${name}']` : `process.env.${name}`
}

/** Files of one generator, from its folder of templates into the host's folder, as they are laid out there. */
export function files(owner: string, dir: string, context: Context, templates: string[], shared = false): Emission[] {
  return templates.map((template) => {
    const [, path] = /^\w+\/async\/(.+)$/.exec(template)!
    return { kind: 'file', owner, template, context, path: `${dir}/${named(path!, context)}`, shared }
  })
}

/** The same for specs, which need a runner. */
export function specs(host: Host, owner: string, dir: string, context: Context, templates: string[]): Emission[] {
  if (host.packageJson.packages.includes('vitest')) return files(owner, dir, context, templates)
  const { testRunner } = host
  const why = testRunner ? `, and this project has ${testRunner}` : ', which package.json does not name'
  return [{ kind: 'note', text: `no specs in ${dir}/test: they run with vitest${why}` }]
}

/** The migrations of one generator, in the order in which they run. A host has those whose names its manifest holds. */
export function migrations(
  owner: string,
  context: Context,
  numbered: { name: string; template: string }[],
): Emission[] {
  return numbered.map((migration) => ({ kind: 'migration', owner, context, ...migration }))
}

/** `__file__.ts` is `email_attempt.ts`. */
function named(path: string, context: Context): string {
  return path.replace(/__([a-z]+)__/g, (_, name) => String(context[name]))
}

/** The whole line that imports the host's client, under the one name that our templates use. */
function clientImport({ path, name }: ClientExport, from: string, ext: string): string {
  const binding = name === 'default' ? 'prisma' : name === 'prisma' ? '{ prisma }' : `{ ${name} as prisma }`
  return `import ${binding} from '${specifier(path, from, ext)}'`
}

function specifier(path: string, from: string, ext: string): string {
  if (isModuleName(path)) return path
  const file = relative(from, path)
  const relativePath = file.startsWith('.') ? file : `./${file}`
  if (ext === '.ts') return relativePath
  const [, stem, module] = /^(.*)\.([cm]?)[jt]sx?$/.exec(relativePath)!
  if (ext === '.js' || module) return `${stem}.${module}js`
  return basename(stem!) === 'index' ? dirname(stem!) : stem!
}

/**
 * The schema of the database that our tables are in, where the host's models have to name theirs. The runtime's SQL finds
 * tables by the search path, which leads to `public`.
 */
export function databaseSchema({ schema }: Host): string | undefined {
  if (schema.schemas.length === 0) return undefined
  if (schema.schemas.includes('public')) return 'public'
  throw new HostError({
    code: 'NO_PUBLIC_SCHEMA',
    message: `The datasource names the schemas ${schema.schemas.join(', ')}, and not public, where async-gen's tables go.`,
    where: schema.path,
    remedy: `Add it: schemas = [${[...schema.schemas, 'public'].map((name) => `"${name}"`).join(', ')}]`,
  })
}
