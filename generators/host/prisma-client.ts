import { type ClientValue, ClientValues } from './client-values.js'
import { SourceModules, type Sources } from './source-modules.js'
import { configuredUrlVariables, urlVariablesIn } from './url-variables.js'

/** A value of the host that is its PrismaClient. */
export interface ClientExport {
  /** A file of the host, or the name of a module: `src/db.ts`, `@acme/db`. */
  path: string
  /** `default`, or what it is exported as. */
  name: string
}

/** An export that is a PrismaClient, or from which one can be had. */
export interface ClientCandidate extends ClientExport {
  /** How a client is had, with `$` for the export: `$`, `new $()`, `$()`, `$.client`. Null where it wants arguments. */
  access: string | null
}

/** An export that a PrismaClient is made from, as from a class of NestJS. */
export interface ClientSource extends ClientCandidate {
  /** From where it imports the class PrismaClient: a file of the host, or the name of a module. */
  clientClass: string
}

/** What is known of the PrismaClients of a host. */
export interface ClientSearch {
  /** All that may be meant, the clients first. */
  candidates: ClientCandidate[]
  /** Those that a worker cannot load, because of `import 'server-only'`. They are candidates only where there is no other. */
  serverOnly: ClientCandidate[]
  /** Modules that make a client and export something that may be it. */
  unclear: string[]
  /** Modules that make a client and keep it to themselves. */
  makers: string[]
}

/** `@acme/db`, `@/lib/db`, `#db`: what is imported as it is written. */
export function isModuleName(path: string): boolean {
  return !/\.[cm]?[jt]sx?$/.test(path)
}

/** Whether the export is a client itself, and not something that makes one. */
export function isClient({ access }: ClientCandidate): boolean {
  return access === '$'
}

/** Folders of what is beside the application: a client in one of them counts where there is no other. */
const ASIDE = /(^|\/)(tests?|__tests__|__mocks__|mocks?|e2e|spec|scripts|seeds?|examples?|fixtures)\/|(^|\/)seed\.\w+$/

/** The PrismaClients of a host, found by reading its sources. Nothing is run. */
export class HostClients {
  readonly #modules: SourceModules
  readonly #values: ClientValues

  private constructor(modules: SourceModules) {
    this.#modules = modules
    this.#values = new ClientValues(modules)
  }

  static async of(sources: Sources): Promise<HostClients> {
    return new HostClients(await SourceModules.of(sources))
  }

  search(): ClientSearch {
    const paths = this.#modules.paths()
    const text = (path: string) => this.#modules.text(path)
    const naming = paths.filter((path) => text(path).includes('PrismaClient'))
    const found = naming.flatMap((path) => this.exportsOf(path))

    // A module that makes its client with the class or the function of another one need not name PrismaClient.
    const makerNames = found.filter((each) => !isClient(each) && each.name !== 'default').map(({ name }) => name)
    const others = paths.filter(
      (path) => !naming.includes(path) && makerNames.some((name) => text(path).includes(name)),
    )
    const all = [...found, ...others.flatMap((path) => this.exportsOf(path))]

    const unused = all.filter((each) => isClient(each) || !this.#values.used.has(`${each.path}#${each.name}`))
    const inApplication = unused.filter(({ path }) => !ASIDE.test(path))
    const meant = inApplication.length > 0 ? inApplication : unused
    const serverOnly = meant.filter(({ path }) => this.isServerOnly(path))
    const rest = meant.filter((each) => !serverOnly.includes(each))
    const makers = naming.filter((path) => !all.some((each) => each.path === path) && this.#values.makesClient(path))
    const isUnclear = (path: string) => this.#values.exportsOf(path).some(({ value }) => value?.kind === 'unclear')
    return {
      candidates: (rest.length > 0 ? rest : serverOnly).sort((a, b) => Number(isClient(b)) - Number(isClient(a))),
      serverOnly,
      unclear: makers.filter((path) => !ASIDE.test(path) && isUnclear(path)),
      makers,
    }
  }

  /** What a module exports as a client; where it exports none, what a client can be had from. */
  exportsOf(path: string): ClientCandidate[] {
    const byOrigin = new Map<string, { name: string; value: ClientValue }>()
    for (const { name, value } of this.#values.exportsOf(path)) {
      if (!value || value.kind === 'promise' || value.kind === 'unclear') continue
      // One client under two names is one client.
      if (!byOrigin.has(value.origin) || name === 'prisma') byOrigin.set(value.origin, { name, value })
    }
    const found = [...byOrigin.values()].map(({ name, value }) => ({ path, name, access: value.access }))
    const clients = found.filter(isClient)
    return clients.length > 0 ? clients : found
  }

  /** From where a module imports the class PrismaClient: a file of the host, or the name of a module. */
  classImportedBy(path: string): string | undefined {
    const specifier = this.#values.clientClassOf(path)
    if (!specifier) return undefined
    const file = this.#modules.resolve(specifier, path) ?? this.#modules.expected(specifier, path)
    if (!file) return specifier
    return isModuleName(file) ? `${file}.ts` : file
  }

  /** Whether a module, or one that it imports, is refused to all but a server's React. */
  isServerOnly(path: string, seen = new Set<string>()): boolean {
    if (seen.has(path)) return false
    seen.add(path)
    return this.#values.importsOf(path).some((specifier) => {
      if (specifier === 'server-only') return true
      const imported = this.#modules.resolve(specifier, path)
      return imported !== undefined && this.isServerOnly(imported, seen)
    })
  }

  /** The environment variables that a module, or else one that it imports, takes the database's URL from. */
  urlVariablesOf(path: string): string[] {
    const own = urlVariablesIn(this.#modules.program(path))
    if (own.length > 0) return own
    const imported = this.#values.importsOf(path).map((specifier) => this.#modules.resolve(specifier, path))
    return (
      imported
        .map((each) => (each ? urlVariablesIn(this.#modules.program(each)) : []))
        .find(({ length }) => length > 0) ?? []
    )
  }

  /** Those that `datasource.url` of a prisma.config names. */
  configuredUrlVariables(path: string): string[] {
    return configuredUrlVariables(this.#modules.program(path))
  }
}
