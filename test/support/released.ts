import { mkdtempSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REPOSITORY } from './host.js'
import type { Edit } from './team.js'

/** A folder for each version that is stored, as its hosts have it. */
export const RELEASED = join(REPOSITORY, 'test', 'hosts', 'released')

/** A folder outside of every repository, whose formatter is not the host's. What is in it finds the packages of that checkout. */
export function folderWithPackagesOf(checkout: string) {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-released-'))
  symlinkSync(join(checkout, 'node_modules'), join(dir, 'node_modules'))
  return dir
}

/** What encrypted the stored rows. It protects nothing else. */
export const ATTEMPT_KEY = Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')

/** What the generators are run for in a host that is stored with a version. */
export const generators = [
  ['install', '--invalidate-on', 'Oat', 'Topping.oat'],
  ['attempt'],
  ['attempt', 'PaymentAttempt', '--encrypted'],
  ['reports', 'MonthlySales'],
  ['deploy', 'systemd'],
  ['deploy', 'procfile'],
]

/** What its team then changes in what they emitted. */
export const releasedEdits: Edit[] = [
  {
    file: 'prisma/schema.prisma',
    changes: [
      ['  traceContext     Json?         @map', '  shop             String?\n  traceContext     Json?         @map'],
    ],
  },
  {
    file: 'src/async/attempt.ts',
    changes: [
      [
        '    await super.handlePerformError(error)',
        `    if (process.env.PAGER === 'on') console.error(this.method)\n    await super.handlePerformError(error)`,
      ],
    ],
  },
  {
    file: 'src/async/attempt.factory.ts',
    changes: [['  failed: (', '  scheduled: (scheduledAt: Date) => create({ scheduledAt }),\n  failed: (']],
  },
  {
    file: 'src/async/targets.ts',
    changes: [
      [
        `import { defineTargets } from '@async-gen/runtime'\n`,
        `import { defineTargets } from '@async-gen/runtime'\nimport { Ledger } from '../ledger.js'\n`,
      ],
      ['  // OrderClient,\n', '  Ledger,\n'],
    ],
  },
  {
    file: 'src/async/toasts.ts',
    changes: [
      [
        'export {}\n',
        `import { asyncCached, hasToast } from '@async-gen/runtime'
import { prisma } from '../db.js'
import { held } from '../ledger.js'
import { db } from './database.js'

export const breakfast = hasToast(db, 'oat', 'breakfast', {
  compute: async (oat) => {
    const toppings = await prisma.topping.findMany({ where: { oatId: oat.id }, orderBy: { id: 'asc' } })
    return { oat: oat.name, toppings: toppings.map((topping) => topping.name) }
  },
})

export const lunch = hasToast(db, 'oat', 'lunch', {
  compute: async (oat) => {
    if (process.env.KITCHEN === 'closed') throw new Error('The kitchen is closed')
    return { oat: oat.name }
  },
})

export const supper = hasToast(db, 'oat', 'supper', {
  compute: async (oat) => {
    await held(\`\${oat.name} supper\`, 0)
    return { oat: oat.name }
  },
})

export const menu = asyncCached(db, 'menu', async (label: string) => ({ label, dishes: new Map([[1, 'Porridge']]) }))\n`,
      ],
    ],
  },
  {
    file: 'src/async/worker.ts',
    changes: [
      ["import { db } from './database.js'\n", "import { db } from './database.js'\n\nprocess.title = 'shop worker'\n"],
      [
        "await runWorker(db, { tasks: new URL('./tasks/', import.meta.url) })",
        "await runWorker(db, { tasks: new URL('./tasks/', import.meta.url), concurrency: 4, sweepEvery: '1s' })",
      ],
    ],
  },
  {
    file: 'src/async/reports/monthly_sales.ts',
    changes: [
      [`import { Report } from`, `import { prisma } from '../../db.js'\nimport { Report } from`],
      ['export class MonthlySales extends Report {', 'export class MonthlySales extends Report<{ month: string }> {'],
      ['    return { total: 0 }\n', '    return { month: this.args.month, orders: await prisma.order.count() }\n'],
    ],
  },
  {
    file: 'src/async/test/monthly_sales.test.ts',
    changes: [
      ['MonthlySales.create({})', "MonthlySales.create({ month: 'January' })"],
      ['toEqual({ total: 0 })', "toEqual({ month: 'January', orders: 0 })"],
    ],
  },
  { file: 'deploy/async-worker@.service', changes: [['MemoryMax=512M', 'MemoryMax=1G']] },
  { file: 'Procfile', changes: [['worker: ', 'web: node dist/server.js\nworker: ']] },
]
