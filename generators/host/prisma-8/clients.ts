import type { ClientCandidate, ClientSearch } from '../prisma-client.js'
import { HostClients } from '../prisma-client.js'

/** Finds the clients of Prisma 8: `export const db = postgres<Contract>(…)`. */
export class Prisma8Clients extends HostClients {
  override search(): ClientSearch {
    const paths = this.modules.paths().filter((path) => factoryIn(this.modules.text(path)) !== undefined)
    const candidates = paths.flatMap((path) => this.exportsOf(path))
    const makers = paths.filter((path) => !candidates.some((candidate) => candidate.path === path))
    return { candidates, serverOnly: [], unclear: [], makers }
  }

  override exportsOf(path: string): ClientCandidate[] {
    const text = this.modules.text(path)
    const factory = factoryIn(text)
    if (factory === undefined) return []
    const names = clientsIn(text, factory).flatMap((name) => exportsOf(text, name))
    const isDefault = new RegExp(`^export default ${factory}\\s*[<(]`, 'm').test(text)
    return [...new Set([...names, ...(isDefault ? ['default'] : [])])].map((name) => ({ path, name, access: '$' }))
  }
}

/** The name under which a module imports the function that makes clients. */
function factoryIn(text: string): string | undefined {
  return /^import (\w+)\b[^;\n]* from ['"]@prisma\/orm-postgres\/runtime['"]/m.exec(text)?.[1]
}

/** The constants whose value the function makes, also in `globalThis.db ?? postgres(…)`. */
function clientsIn(text: string, factory: string): string[] {
  const statements = text.matchAll(/^(?:export )?(?:const|let|var) (\w+)\b[^=\n]*=(.*(?:\n[ \t].*)?)/gm)
  const call = new RegExp(`(?<![\\w.])${factory}\\s*[<(]`)
  return [...statements].flatMap(([, name, value]) =>
    call.test(value!) && !/=>|\bfunction\b/.test(value!) ? [name!] : [],
  )
}

/** The names under which a module exports a constant. */
function exportsOf(text: string, name: string): string[] {
  const listed = [...text.matchAll(/^export \{([^}]*)\}(?! from)/gm)].flatMap(([, list]) => list!.split(','))
  const renamed = listed.flatMap((each) => {
    const [local, , exported = local] = each.trim().split(/\s+/)
    return local === name ? [exported!] : []
  })
  return [
    ...(new RegExp(`^export (?:const|let|var) ${name}\\b`, 'm').test(text) ? [name] : []),
    ...renamed,
    ...(new RegExp(`^export default ${name}\\s*;?$`, 'm').test(text) ? ['default'] : []),
  ].slice(0, 1)
}
