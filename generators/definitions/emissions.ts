import { basename, dirname, relative } from 'node:path/posix'
import type { Context, Emission } from '../changes/stage.js'
import { HostError } from '../host/errors.js'
import type { Host } from '../host/inspect.js'
import { type ClientExport, isModuleName } from '../host/prisma-client.js'
import { hasQueryEngine } from '../host/prisma-schema.js'
import type { ModuleStyle } from '../host/typescript.js'
import type { GeneratorAnswers } from './generator.js'

/** The values that all templates may use. */
export function sharedContext(
  { modules, prisma, schema }: Host,
  { dir, client, urlVariables }: GeneratorAnswers,
): Context {
  return {
    dir,
    databaseUrl: urlExpression(urlVariables, modules),
    // With relationMode = "prisma", Prisma reports a foreign key as drift.
    foreignKeys: schema.relationMode !== 'prisma',
    // Without the preview feature, Prisma ignores partial indexes. With it, Prisma drops those that the schema does not declare.
    partialIndexes: schema.previewFeatures.includes('partialIndexes'),
    // Prisma 8, which reads the schema of a Prisma 7 beside it, refuses @updatedAt in a column with a default.
    updatedAt: prisma.command === 'prisma7' ? '' : ' @updatedAt',
    ext: modules.ext,
    dynamicExt: modules.dynamicExt,
    esm: modules.esm,
    client: {
      name: 'prisma',
      import: clientImport(client, dir, modules.ext),
      // The example of a model: the client of Prisma 8 has the names of the contract.
      model: schema.major === 8 ? 'Customer' : 'customer',
    },
  }
}

/** The values for the emitted client.ts; null if the host exports a client. */
export function clientContext(
  { modules, packageJson, schema }: Host,
  { dir, clientSource, urlVariables }: GeneratorAnswers,
): Context | null {
  if (!clientSource) return null
  const { path, name, access, clientClass } = clientSource
  // A default import may have any name.
  const local = name === 'default' ? 'source' : name
  const from = (module: string) => specifier(module, dir, modules.ext)
  return {
    source: name,
    sourceFile: path,
    access: access ? access.replace('$', local) : '',
    // A class of the host may have further methods, which a transaction client lacks.
    typed: access === 'new $()',
    sourceImport: `import ${name === 'default' ? local : `{ ${name} }`} from '${from(path)}'`,
    clientClass: from(clientClass),
    adapter: !hasQueryEngine(schema) || packageJson.packages.includes('@prisma/adapter-pg'),
    databaseUrl: urlExpression(urlVariables, modules),
  }
}

function urlExpression(variables: string[], modules: ModuleStyle): string {
  return variables.map((name) => environmentVariable(name, modules)).join(' ?? ')
}

/** An environment variable, in the syntax that the host's compiler accepts. */
export function environmentVariable(name: string, { options }: ModuleStyle): string {
  return options.noPropertyAccessFromIndexSignature ? `process.env['${name}']` : `process.env.${name}`
}

/** The files of one generator. Their paths in the host's folder are the paths of the templates. */
export function files(owner: string, dir: string, context: Context, templates: string[], shared = false): Emission[] {
  return templates.map((template) => {
    const [, path] = /^\w+\/async\/(.+)$/.exec(template)!
    return { kind: 'file', owner, template, context, path: `${dir}/${named(path!, context)}`, shared }
  })
}

/** Files that create rows with the PrismaClient. There are none for the client of Prisma 8 yet. */
export function factories(host: Host, owner: string, dir: string, context: Context, templates: string[]): Emission[] {
  return host.emitContract ? [] : files(owner, dir, context, templates)
}

/** The specs of one generator, for the host's test runner; a note if the host has none that they support. */
export function specs(host: Host, owner: string, dir: string, context: Context, templates: string[]): Emission[] {
  const { testRunner } = host
  if (host.emitContract)
    return [{ kind: 'note', text: 'no specs and no factories were written: the preview of Prisma 8 has none yet' }]
  const testImport = TEST_IMPORTS[testRunner ?? '']
  if (testImport) return files(owner, dir, { ...context, testImport, nodeTest: testRunner === 'node:test' }, templates)
  const why = testRunner ? `and this project uses ${testRunner}` : 'and package.json has none of them'
  return [{ kind: 'note', text: `no specs were written to ${dir}/test: they need vitest, Jest or node:test, ${why}` }]
}

/** Specs differ in this line only: they assert with node:assert. */
const TEST_IMPORTS: Record<string, string> = {
  vitest: `import { afterAll, beforeAll, describe, it } from 'vitest'`,
  jest: `import { afterAll, beforeAll, describe, it } from '@jest/globals'`,
  'node:test': `import { after as afterAll, before as beforeAll, describe, it } from 'node:test'`,
}

/** The migrations of one generator, in the order in which they run. The manifest lists those that a host has. */
export function migrations(
  owner: string,
  context: Context,
  numbered: { name: string; template: string }[],
): Emission[] {
  return numbered.map((migration) => ({ kind: 'migration', owner, context, ...migration }))
}

/** `email_attempt.ts` for `__file__.ts`. */
function named(path: string, context: Context): string {
  return path.replace(/__([a-z]+)__/g, (_, name) => String(context[name]))
}

/** The statement that imports the host's client as `prisma`, the name that our templates use. */
function clientImport({ path, name }: ClientExport, from: string, ext: string): string {
  const binding = name === 'default' ? 'prisma' : name === 'prisma' ? '{ prisma }' : `{ ${name} as prisma }`
  return `import ${binding} from '${specifier(path, from, ext)}'`
}

/** How a module of the host is imported from a folder. */
export function specifier(path: string, from: string, ext: string): string {
  if (isModuleName(path)) return path
  const file = relative(from, path)
  const relativePath = file.startsWith('.') ? file : `./${file}`
  if (ext === '.ts') return relativePath
  const [, stem, module] = /^(.*)\.([cm]?)[jt]sx?$/.exec(relativePath)!
  if (ext === '.js' || module) return `${stem}.${module}js`
  return basename(stem!) === 'index' ? dirname(stem!) : stem!
}

/**
 * The database schema of our tables; undefined if the host's datasource lists no schemas. It is `public`, because the
 * runtime's SQL finds its tables by the search path.
 */
export function databaseSchema({ schema }: Host): string | undefined {
  if (schema.schemas.length === 0) return undefined
  if (schema.schemas.includes('public')) return 'public'
  throw new HostError({
    code: 'NO_PUBLIC_SCHEMA',
    message: `The datasource lists the schemas ${schema.schemas.join(', ')}, but not public, which async-gen needs for its tables.`,
    where: schema.path,
    remedy: `Add public: schemas = [${[...schema.schemas, 'public'].map((name) => `"${name}"`).join(', ')}]`,
  })
}
