import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './host.js'
import { run } from './run.js'

/** Lines that a developer writes into a generated file. */
export interface Edit {
  file: string
  /** Where: lines of the file that the new ones take the place of. */
  replaces: RegExp
  lines: string
  /** Imports that the lines need. */
  imports?: string
}

/** All that it takes to use attempts, toasts and reports in the shop. */
export const edits: Edit[] = [
  {
    file: 'src/async/targets.ts',
    replaces: /^ *\/\/ OrderClient,$/m,
    lines: '  OrderClient,\n  Newsletter,\n  Warehouse,',
    imports: `import { Newsletter } from '../newsletter.js'
import { OrderClient } from '../order-client.js'
import { Warehouse } from '../warehouse.js'`,
  },
  {
    file: 'src/async/toasts.ts',
    replaces: /$(?![\s\S])/,
    lines: `
export const breakfast = hasToast(db, 'oat', 'breakfast', {
  compute: async (oat) => {
    const toppings = await prisma.topping.findMany({ where: { oatId: oat.id }, orderBy: { id: 'asc' } })
    return { oat: oat.name, toppings: toppings.map((topping) => topping.name) }
  },
})
`,
    imports: `import { prisma } from '../db.js'`,
  },
  {
    file: 'src/async/reports/monthly_sales.ts',
    replaces: /^.*Not implemented.*$/m,
    lines: `    const { _sum } = await prisma.order.aggregate({ _sum: { totalCents: true } })
    return { month: this.key.month, total: _sum.totalCents ?? 0 }`,
    imports: `import { prisma } from '../../db.js'`,
  },
]

/** Writes an edit into a host; throws where the file does not read as expected. */
export function applyEdit(dir: string, { file, replaces, lines, imports }: Edit) {
  const path = join(dir, file)
  const text = readFileSync(path, 'utf8')
  if (!replaces.test(text)) throw new Error(`${file} has no ${replaces}:\n${text}`)
  const edited = text.replace(replaces, () => lines)
  writeFileSync(path, imports ? edited.replace(/(?:^import .*\n)+/m, (block) => `${block}${imports}\n`) : edited)
}

/** Adds the team's own files: a target that writes through its attempt's transaction, and the scenes. */
export function addTeamFiles(dir: string) {
  cpSync(join(REPOSITORY, 'test', 'hosts', 'team'), dir, { recursive: true })
}

/** Plays one of the team's scenes in a process of its own and returns what it printed, which was JSON. */
export async function playScene(dir: string, env: Record<string, string>, name: string, ...args: (string | number)[]) {
  const file = join('src', 'scenes', `${name}.ts`)
  const { stdout } = await run(dir, process.execPath, ['--import', 'tsx', file, ...args.map(String)], { env })
  return JSON.parse(stdout)
}
