import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { testDatabase } from '../support/database.js'
import { APP, REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { run, SPEC_TIMEOUTS } from '../support/run.js'

const url = await testDatabase()
const otherUrl = await createDatabase(inject('postgres'), { template: 'template' })
await query(otherUrl, 'DROP TRIGGER attempts_enqueue_inserted ON attempts')
const inOther = ['process.env.DATABASE_URL', JSON.stringify(otherUrl)] as const

/** What is broken in the emitted code, in which file, by which edit, and the spec that must fail then. */
const MUTATIONS: [what: string, file: string, edit: readonly [from: string, to: string], spec: string][] = [
  ['attempts of another table', 'attempt.ts', ["table: 'attempts'", "table: 'reports'"], 'attempt'],
  ['attempts of another task', 'attempt.ts', ["model: 'Attempt'", "model: 'Order'"], 'attempt'],
  ['attempts with another list of targets', 'attempt.ts', ["'./targets.js'", "'./toasts.js'"], 'attempt'],
  ['a list without the target', 'targets.ts', ['  OrderClient,\n', ''], 'attempt'],
  ['a target that does something else', '../order-client.ts', ['parcel-', 'letter-'], 'attempt'],
  ['a task that performs nothing', 'tasks/attempt.ts', ['attemptTask(Attempt)', 'async () => {}'], 'attempt'],
  [
    'a batch task that enqueues nothing',
    'tasks/attempt_batch.ts',
    ['attemptBatchTask(Attempt)', 'async () => {}'],
    'attempt',
  ],
  ['a database without the trigger', '../db.ts', inOther, 'attempt'],
  ['a worker on another database', 'database.ts', inOther, 'toasts'],
  ['a task that refreshes nothing', 'tasks/refresh_toast.ts', ['refreshToastTask(db)', 'async () => {}'], 'toasts'],
  ['reports of another table', 'report.ts', ["table: 'reports'", "table: 'toasts'"], 'report'],
  [
    'a report whose build throws',
    'reports/monthly_sales.ts',
    ['return {', "throw new Error('x')\n    return {"],
    'monthly_sales',
  ],
  ['a report whose build returns nothing', 'reports/monthly_sales.ts', ['return {', 'void {'], 'monthly_sales'],
  ['a task that looks for reports elsewhere', 'tasks/refresh_report.ts', ['../reports/', '../'], 'monthly_sales'],
  ['a report under another name', 'reports/monthly_sales.ts', ["= 'MonthlySales'", "= 'Sales'"], 'monthly_sales'],
]

/** All hosts are in one folder, so that one run of vitest tests them all. */
const dir = mkdtempSync(`${APP}-mutations-`)
afterAll(() => rmSync(dir, { recursive: true }))

interface TestFile {
  name: string
  status: 'passed' | 'failed'
  assertionResults: { fullName: string; status: string; failureMessages: string[] }[]
}
let files: TestFile[]

beforeAll(async () => {
  makeHost('whole')
  for (const [i, [, file, [from, to], spec]] of MUTATIONS.entries()) {
    const edited = edit(makeHost(String(i), spec), file, (text) => text.replaceAll(from, () => to))
    // The runtime takes the URL that the PrismaClient takes.
    if (file === '../db.ts') edit(join(dir, String(i)), 'database.ts', (text) => text.replaceAll(from, () => to))
    expect(edited, `${file} has no longer ${from}`).toBe(true)
  }
  writeFileSync(join(dir, 'vitest.config.mjs'), 'export default {}\n')
  const report = join(dir, 'report.json')
  const args = [
    'run',
    '--root',
    dir,
    '--reporter=json',
    `--outputFile=${report}`,
    ...SPEC_TIMEOUTS,
    '--pool=forks',
    '--maxWorkers=2',
    '--no-isolate',
  ]
  const vitest = join(REPOSITORY, 'node_modules', '.bin', 'vitest')
  await run(dir, vitest, args, { env: { DATABASE_URL: url }, exitCodes: [1] })
  files = JSON.parse(readFileSync(report, 'utf8')).testResults
})

describe('at least one emitted spec fails for', () => {
  it.each(MUTATIONS.map(([what, file, , spec], i) => ({ what, file, spec, i })))('$what ($file)', ({ i, spec }) => {
    expect(specOf(String(i), spec).status).toBe('failed')
  })
})

it('no emitted spec fails for the code as it is emitted, nor the example once it is uncommented', () => {
  const ofWhole = ['attempt', 'toasts', 'report', 'monthly_sales'].map((spec) => specOf('whole', spec))
  expect(ofWhole.flatMap(({ assertionResults }) => assertionResults.flatMap((each) => each.failureMessages))).toEqual(
    [],
  )
  expect(ofWhole.map(({ status }) => status)).toEqual(['passed', 'passed', 'passed', 'passed'])
  expect(ofWhole[0]!.assertionResults.map(({ fullName }) => fullName)).toContainEqual(
    expect.stringContaining('is recorded with the order, and fulfils it'),
  )
})

function specOf(host: string, spec: string): TestFile {
  return files.find(({ name }) => name.endsWith(`/${host}/src/async/test/${spec}.test.ts`))!
}

/**
 * The application, with a first target of the team, and with the example of the specs in place of its todo.
 *
 * @param only the spec to keep; default: all
 */
function makeHost(name: string, only?: string): string {
  const host = join(dir, name)
  mkdirSync(host)
  cpSync(join(APP, 'src'), join(host, 'src'), { recursive: true })
  for (const file of ['package.json', 'tsconfig.json']) cpSync(join(APP, file), join(host, file))
  edit(host, '../order-client.ts', () => ORDER_CLIENT)
  const imported = "import { OrderClient } from '../order-client.js'\n"
  edit(host, 'targets.ts', (text) => `${imported}${text.replace('// OrderClient', 'OrderClient')}`)
  edit(host, 'test/attempt.test.ts', (text) => {
    const uncommented = text.replaceAll(/^ {4}\/\/(?! Replace) ?/gm, '    ').replace(/^ *it\.todo.*\n/m, '')
    const imports = imported.replace('../', '../../')
    return `${imports}${uncommented.replace('{ inRollback,', '{ expectAttempt, inRollback, perform,')}`
  })
  const others = readdirSync(join(host, 'src/async/test')).filter((file) => only && file !== `${only}.test.ts`)
  for (const file of others) rmSync(join(host, 'src/async/test', file))
  return host
}

/** Whether that changed the file. */
function edit(host: string, file: string, change: (text: string) => string): boolean {
  const path = join(host, 'src', 'async', file)
  const before = readFileSync(path, 'utf8')
  const after = change(before)
  writeFileSync(path, after)
  return after !== before
}

const ORDER_CLIENT = `export class OrderClient {
  static async fulfill({ orderNumber }: { orderNumber: number }) {
    return { parcel: \`parcel-\${orderNumber}\` }
  }
}
`
