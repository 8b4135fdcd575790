import type { ClientCandidate, ClientSearch } from '../prisma-client.js'
import { HostClients } from '../prisma-client.js'

/** Finds the clients of Prisma 8: `export const db = postgres<Contract>(…)`. */
export class Prisma8Clients extends HostClients {
  override search(): ClientSearch {
    const candidates = this.modules.paths().flatMap((path) => this.exportsOf(path))
    return { candidates, serverOnly: [], unclear: [], makers: [] }
  }

  override exportsOf(path: string): ClientCandidate[] {
    const text = this.modules.text(path)
    const [, factory] = /^import (\w+) from ['"]@prisma\/orm-postgres\/runtime['"]/m.exec(text) ?? []
    if (!factory) return []
    const named = [...text.matchAll(new RegExp(`^export const (\\w+)\\b[^=\\n]*= *${factory}\\b`, 'gm'))]
    const isDefault = new RegExp(`^export default ${factory}\\b`, 'm').test(text)
    const names = [...named.map((match) => match[1]!), ...(isDefault ? ['default'] : [])]
    return names.map((name) => ({ path, name, access: '$' }))
  }
}
