import { createRequire } from 'node:module'
import type { PrismaClientLike } from './client.js'
import { Decimal, type DecimalClass } from './decimal.js'
import { Prisma7 } from './prisma-7.js'

/** A client of Prisma 6. It differs from one of Prisma 7 where a native query engine runs its statements. */
export class Prisma6<Client extends PrismaClientLike> extends Prisma7<Client> {
  override readonly Decimal = decimalOf(this.client)
}

/** An internal property of every client: the generator block of the schema. */
interface GeneratedClient {
  _engineConfig?: { generator?: { config?: { engineType?: string } } }
}

/** Each kind of engine has a runtime of its own, with its own copy of the class. `engineType = "client"` has that of Prisma 7. */
function decimalOf(client: object): DecimalClass {
  const engine = (client as GeneratedClient)._engineConfig?.generator?.config?.engineType ?? 'library'
  if (engine === 'client') return Decimal
  try {
    const require = createRequire(import.meta.url)
    const path = require.resolve(`@prisma/client/runtime/${engine}`)
    // The generated client has loaded it, as CommonJS or as an ES module. Each is a copy.
    return (require.cache[path]?.exports ?? require(path.replace(/\.js$/, '.mjs'))).Decimal
  } catch {
    // In a bundle there are no files. The other class has the same methods.
    return Decimal
  }
}
