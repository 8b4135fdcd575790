import { type ClientValue, ClientValues } from './client-values.js'
import { SourceModules, type Sources } from './source-modules.js'
import { configuredUrlVariables, passesUrl, urlVariablesIn } from './url-variables.js'

/** An export of the host that is its PrismaClient. */
export interface ClientExport {
  /** A file of the host, or the name of a module: `src/db.ts`, `@acme/db`. */
  path: string
  /** The name of the export, or `default`. */
  name: string
}

/** An export that is a PrismaClient, or that gives one. */
export interface ClientCandidate extends ClientExport {
  /** The expression that gives a client, with `$` for the export: `$`, `new $()`, `$()`, `$.client`. Null if it requires arguments. */
  access: string | null
}

/** An export that makes a PrismaClient, such as a service class of NestJS. */
export interface ClientSource extends ClientCandidate {
  /** The module from which it imports the class PrismaClient: a file of the host, or a package. */
  clientClass: string
}

/** The PrismaClients that a search has found. */
export interface ClientSearch {
  /** Clients first, then exports that make one. */
  candidates: ClientCandidate[]
  /** Those that a worker cannot load, because of `import 'server-only'`. They are candidates only if there is no other. */
  serverOnly: ClientCandidate[]
  /** Modules that make a client, and export something that is possibly that client. */
  unclear: string[]
  /** Modules that make a client without exporting it. */
  makers: string[]
}

/** Whether it is a package or an alias, such as `@acme/db`, `@/lib/db` and `#db`, and not a file. */
export function isModuleName(path: string): boolean {
  return !/\.[cm]?[jt]sx?$/.test(path)
}

/** Whether the export itself is a client. */
export function isClient({ access }: ClientCandidate): boolean {
  return access === '$'
}

/** Folders of code beside the application. A client in one of them counts only if there is no other. */
const BESIDE_APPLICATION =
  /(^|\/)(tests?|__tests__|__mocks__|mocks?|e2e|spec|scripts|seeds?|examples?|fixtures)\/|(^|\/)seed\.\w+$/

/** Finds the PrismaClients of a host. It parses the sources, and never runs them. */
export class HostClients {
  protected readonly modules: SourceModules
  readonly #values: ClientValues

  constructor(modules: SourceModules) {
    this.modules = modules
    this.#values = new ClientValues(modules)
  }

  static async of(sources: Sources): Promise<HostClients> {
    return new HostClients(await SourceModules.of(sources))
  }

  search(): ClientSearch {
    const paths = this.modules.paths()
    const text = (path: string) => this.modules.text(path)
    const naming = paths.filter((path) => text(path).includes('PrismaClient'))
    const found = naming.flatMap((path) => this.exportsOf(path))

    // A module that makes its client with an imported class or function need not contain the word PrismaClient.
    const makerNames = found.filter((each) => !isClient(each) && each.name !== 'default').map(({ name }) => name)
    const others = paths.filter(
      (path) => !naming.includes(path) && makerNames.some((name) => text(path).includes(name)),
    )
    const all = [...found, ...others.flatMap((path) => this.exportsOf(path))]

    const unused = all.filter((each) => isClient(each) || !this.#values.used.has(`${each.path}#${each.name}`))
    const inApplication = unused.filter(({ path }) => !BESIDE_APPLICATION.test(path))
    const meant = inApplication.length > 0 ? inApplication : unused
    const serverOnly = meant.filter(({ path }) => this.isServerOnly(path))
    const rest = meant.filter((each) => !serverOnly.includes(each))
    const makers = naming.filter((path) => !all.some((each) => each.path === path) && this.#values.makesClient(path))
    const isUnclear = (path: string) => this.#values.exportsOf(path).some(({ value }) => value?.kind === 'unclear')
    return {
      candidates: (rest.length > 0 ? rest : serverOnly).sort((a, b) => Number(isClient(b)) - Number(isClient(a))),
      serverOnly,
      unclear: makers.filter((path) => !BESIDE_APPLICATION.test(path) && isUnclear(path)),
      makers,
    }
  }

  /** The clients that a module exports; if there are none, the exports that give one. */
  exportsOf(path: string): ClientCandidate[] {
    const byOrigin = new Map<string, { name: string; value: ClientValue }>()
    for (const { name, value } of this.#values.exportsOf(path)) {
      if (!value || value.kind === 'promise' || value.kind === 'unclear') continue
      // Two names of the same client count once.
      if (!byOrigin.has(value.origin) || name === 'prisma') byOrigin.set(value.origin, { name, value })
    }
    const found = [...byOrigin.values()].map(({ name, value }) => ({ path, name, access: value.access }))
    const clients = found.filter(isClient)
    return clients.length > 0 ? clients : found
  }

  /** The module from which a module imports the class PrismaClient: a file of the host, or a package. */
  classImportedBy(path: string): string | undefined {
    const specifier = this.#values.clientClassOf(path)
    if (!specifier) return undefined
    const file = this.modules.resolve(specifier, path) ?? this.modules.expected(specifier, path)
    if (!file) return specifier
    return isModuleName(file) ? `${file}.ts` : file
  }

  /** Whether a module imports `server-only`, directly or through other modules. */
  isServerOnly(path: string, seen = new Set<string>()): boolean {
    if (seen.has(path)) return false
    seen.add(path)
    return this.#values.importsOf(path).some((specifier) => {
      if (specifier === 'server-only') return true
      const imported = this.modules.resolve(specifier, path)
      return imported !== undefined && this.isServerOnly(imported, seen)
    })
  }

  /** The environment variables from which a module reads the database URL; else those of a module that it imports. */
  urlVariablesOf(path: string): string[] {
    const own = urlVariablesIn(this.modules.program(path))
    if (own.length > 0) return own
    const imported = this.#values.importsOf(path).map((specifier) => this.modules.resolve(specifier, path))
    return (
      imported
        .map((each) => (each ? urlVariablesIn(this.modules.program(each)) : []))
        .find(({ length }) => length > 0) ?? []
    )
  }

  /** Whether a module passes a database URL to the client. In Prisma 6, the client otherwise takes that of the schema. */
  passesUrl(path: string): boolean {
    return passesUrl(this.modules.program(path))
  }

  /** The environment variables in `datasource.url` of a prisma.config. */
  configuredUrlVariables(path: string): string[] {
    return configuredUrlVariables(this.modules.program(path))
  }
}
