import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { Prisma7ClientLike } from './client.js'
import type { DecimalClass } from './decimal.js'
import { Prisma7 } from './prisma-7.js'

/** A client of Prisma 6. It differs from one of Prisma 7 where a native query engine runs its statements. */
export class Prisma6<Client extends Prisma7ClientLike> extends Prisma7<Client> {
  /** Each kind of engine has a runtime of its own, with its own copy of the class. `engineType = "client"` has that of Prisma 7. */
  override async loadDecimal(): Promise<DecimalClass> {
    const { _engineConfig: config } = this.client as GeneratedClient
    const engine = config?.generator?.config?.engineType ?? 'library'
    if (engine === 'client') return await super.loadDecimal()
    const require = createRequire(import.meta.url)
    const path = require.resolve(`@prisma/client/runtime/${engine}`)
    // The generated client has loaded it, as CommonJS or as an ES module. Each is a copy.
    const loaded = require.cache[path]?.exports ?? (await import(pathToFileURL(path.replace(/\.js$/, '.mjs')).href))
    return loaded.Decimal
  }
}

/** An internal property of every client: the generator block of the schema. */
type GeneratedClient = { _engineConfig?: { generator?: { config?: { engineType?: string } } } }
