import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { REPOSITORY } from './host.js'
import { childEnv } from './run.js'

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

/**
 * Plays one of the team's scenes, and returns what it printed, which was JSON. All scenes of a host run in one process, as they would in an
 * application that serves requests.
 */
export async function playScene(dir: string, env: Record<string, string>, name: string, ...args: (string | number)[]) {
  const key = JSON.stringify([dir, env])
  const stage = stages.get(key) ?? startStage(dir, env)
  stages.set(key, stage)
  return JSON.parse(await stage.play(join('src', 'scenes', `${name}.ts`), args.map(String)))
}

/** Ends the processes of all scenes. */
export async function closeStages() {
  const open = [...stages.values()]
  stages.clear()
  await Promise.all(open.map(({ close }) => close()))
}

interface Stage {
  play: (file: string, args: string[]) => Promise<string>
  close: () => Promise<unknown>
}

const stages = new Map<string, Stage>()

function startStage(dir: string, env: Record<string, string>): Stage {
  const program = fileURLToPath(new URL('stage.mjs', import.meta.url))
  const stage = spawn(process.execPath, ['--import', 'tsx', program], {
    cwd: dir,
    env: childEnv(env),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const exited = once(stage, 'exit')
  let errors = ''
  stage.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const lines = createInterface({ input: stage.stdout })[Symbol.asyncIterator]()
  let last: Promise<unknown> = Promise.resolve()

  async function playNow(file: string, args: string[]) {
    stage.stdin.write(`${JSON.stringify({ file, args })}\n`)
    let printed = ''
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error(`${[file, ...args].join(' ')} (in ${dir}) ended the process:\n${printed}${errors}`)
      if (value === 'end') return printed
      printed += `${value}\n`
    }
  }
  return {
    play: (file, args) => {
      const played = last.then(() => playNow(file, args))
      last = played.catch(() => {})
      return played
    },
    close: () => {
      stage.stdin.end()
      return exited
    },
  }
}
