import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from './host.js'
import { run } from './run.js'

/** A change that a developer makes to a generated file. */
export interface Edit {
  file: string
  /** Text of the file, and what takes its place. */
  changes: [from: string, to: string][]
}

/** All that it takes to use attempts, toasts and reports in the shop. */
export const edits: Edit[] = [
  {
    file: 'src/async/targets.ts',
    changes: [
      [
        `import { defineTargets } from '@async-gen/runtime'\n`,
        `import { defineTargets } from '@async-gen/runtime'
import { Newsletter } from '../newsletter.js'
import { OrderClient } from '../order-client.js'
import { Warehouse } from '../warehouse.js'\n`,
      ],
      ['  // OrderClient,\n', '  Newsletter,\n  OrderClient,\n  Warehouse,\n'],
    ],
  },
  {
    file: 'src/async/toasts.ts',
    changes: [
      [
        'export {}\n',
        `import { hasToast } from '@async-gen/runtime'
import { prisma } from '../db.js'
import { db } from './database.js'

export const breakfast = hasToast(db, 'oat', 'breakfast', {
  compute: async (oat) => {
    const toppings = await prisma.topping.findMany({ where: { oatId: oat.id }, orderBy: { id: 'asc' } })
    return { oat: oat.name, toppings: toppings.map((topping) => topping.name) }
  },
})\n`,
      ],
    ],
  },
  {
    file: 'src/async/reports/monthly_sales.ts',
    changes: [
      [`import { Report } from`, `import { prisma } from '../../db.js'\nimport { Report } from`],
      [
        'export class MonthlySales extends Report {',
        'export class MonthlySales extends Report<{ month: string; verbose?: boolean }> {',
      ],
      [
        '    return { total: 0 }\n',
        `    const { _sum } = await prisma.order.aggregate({ _sum: { totalCents: true } })
    return { month: this.args.month, total: _sum.totalCents ?? 0 }\n`,
      ],
    ],
  },
]

/** Writes an edit into a host; throws where the file does not read as expected. */
export function applyEdit(dir: string, { file, changes }: Edit) {
  const path = join(dir, file)
  const edited = changes.reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`${file} does not contain ${JSON.stringify(from)}:\n${text}`)
      return text.replace(from, () => to)
    },
    readFileSync(path, 'utf8'),
  )
  writeFileSync(path, edited)
}

/** An edit as a diff would show it: the lines that go with a minus, those that come with a plus. */
export function showEdit({ changes }: Edit) {
  return changes
    .flatMap(([from, to]) => {
      const [old, added] = [from.trimEnd().split('\n'), to.trimEnd().split('\n')]
      const gone = old.filter((line) => !added.includes(line)).map((line) => `- ${line}`)
      return [...gone, ...added.filter((line) => !old.includes(line)).map((line) => `+ ${line}`)]
    })
    .join('\n')
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
