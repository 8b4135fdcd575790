// `npm run demo`: the whole way of a team in one minute, on a copy of the shop and a throwaway PostgreSQL. Nothing is taken
// for granted: every line with a tick was checked against the database, and the first one that does not hold ends the demo
// with an error.
import { mkdtempSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { assembleHost, asyncGen, REPOSITORY } from '../support/host.js'
import { createDatabase, query, startPostgres } from '../support/postgres.js'
import { prisma, schemaEngineLine } from '../support/prisma.js'
import { run } from '../support/run.js'
import { addTeamFiles, applyEdit, closeStages, edits, playScene, showEdit } from '../support/team.js'
import { startWorker } from '../support/worker.js'
import { command, fact, failure, heading, holds, indented, note } from './present.js'

// Outside of the repository, so that git does not ignore it.
const shop = join(mkdtempSync(join(tmpdir(), 'async-gen-demo-')), 'shop')
const started = Date.now()

// Interrupted, it still runs what is registered for its end: the worker's, and through the closed pipe PostgreSQL's.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const postgres = await startPostgres()
const url = await createDatabase(postgres)
const env = { DATABASE_URL: url }
let worker: ReturnType<typeof startWorker> | undefined
try {
  await demo()
  note(`\nAll of it held, in ${Math.round((Date.now() - started) / 1000)} s. The shop is left in ${shop} to look at.`)
} catch (error) {
  failure(error)
  if (worker) indented(`The worker's log:\n${worker.log()}`)
  process.exitCode = 1
} finally {
  await closeStages()
  await worker?.stop()
  await postgres.stop()
}

async function demo() {
  heading('An application on Prisma and PostgreSQL: orders, oats, a newsletter')
  assembleHost('single', shop)
  symlinkSync(join(REPOSITORY, 'node_modules'), join(shop, 'node_modules'))
  const [server] = await rows('SHOW server_version')
  fact(`${shop} is a copy of test/hosts/single; PostgreSQL ${server.server_version} listens on ${new URL(url).host}`)
  fact(schemaEngineLine)

  heading('Three generators write code into it, which the team then owns')
  for (const args of [['install'], ['attempt'], ['reports', 'MonthlySales']]) {
    command(`npx async-gen ${args.join(' ')}`)
    const { stdout } = await asyncGen(shop, args)
    indented(stdout)
  }

  heading('Their migrations go in like any other, and agree with the schema')
  command('npx prisma generate && npx prisma migrate deploy')
  await prisma(shop, ['generate'], { env })
  const deployed = await prisma(shop, ['migrate', 'deploy'], { env })
  indented(deployed.stdout.slice(deployed.stdout.indexOf('The following')))
  const against = ['--from-config-datasource', '--to-schema', 'prisma/schema.prisma']
  const { code } = await prisma(shop, ['migrate', 'diff', ...against, '--exit-code'], { env, exitCodes: [0, 2] })
  holds(code === 0, 'prisma migrate diff finds no difference between the database and the schema')

  heading('What the team adds: what may be called, a cached method, a report')
  addTeamFiles(shop)
  for (const edit of edits) {
    applyEdit(shop, edit)
    fact(edit.file)
    indented(showEdit(edit))
  }
  fact('src/warehouse.ts and src/scenes/*.ts: the programs that are run below')
  command('npx tsc --noEmit --strict')
  await run(shop, process.execPath, [
    join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc'),
    '--noEmit',
    '--strict',
  ])
  holds(true, 'it compiles')

  heading('A transaction that rolls back leaves no call behind')
  await scene('place-order', 1, 'decline')
  const [left] = await rows(
    `SELECT (SELECT count(*) FROM "Order")::int AS orders, (SELECT count(*) FROM attempts)::int AS calls`,
  )
  holds(left.orders === 0 && left.calls === 0, 'there is neither an order nor a call')

  heading('One that commits does, and a worker process makes the call')
  const { attempt } = await scene('place-order', 2)
  const [recorded] = await rows('SELECT status, target, method FROM attempts')
  holds(
    recorded?.status === 'pending',
    `recorded in the same transaction: ${recorded?.target}.${recorded?.method}, ${recorded?.status}`,
  )
  command('npm run async:worker -- --log pretty &')
  worker = startWorker(shop, { ...env, ASYNC_WORKER_LOG: 'pretty' })
  fact(`the worker is process ${worker.pid}`)
  const call = await ended(attempt)
  holds(
    call.status === 'succeeded',
    `attempt ${attempt} has ${call.status} and returned ${JSON.stringify(call.result)}`,
  )
  const [order] = await rows('SELECT status FROM "Order" WHERE number = 2')
  holds(order.status === 'fulfilled', `order 2 is ${order.status}: the warehouse was told`)

  heading('A call that fails is made again, and what it wrote is there once')
  const retried = await ended((await scene('ship-order', 2)).attempt)
  holds(retried.errors[0]?.message === 'The van broke down', `the first run failed: ${retried.errors[0]?.message}`)
  holds(retried.status === 'succeeded', `run ${retried.numAttempts} has ${retried.status}`)
  const vans = await rows(`SELECT 1 FROM "Shipment" WHERE carrier = 'van'`)
  holds(vans.length === 1, 'the shipment that both runs wrote in their transaction is there once')

  heading('A slow method answers at once, and is refreshed in the background')
  await rows(`INSERT INTO "Oat" (id, name, "updatedAt") VALUES (1, 'Steel cut', now())`)
  const placeholder = await scene('breakfast', 1)
  holds(placeholder.error === 'Data not yet available', 'the first read gets the placeholder')
  const value = await later((toast) => !toast.error, 'breakfast', 1)
  holds(value.oat === 'Steel cut' && !value.toastr.stale, 'a later one gets the value that the worker computed')
  await scene('add-topping', 1, 'Blueberries')
  const old = await scene('breakfast', 1)
  holds(
    old.toppings.length === 0 && old.toastr.stale,
    'the oat has changed: the old value is served meanwhile, marked stale',
  )
  const fresh = await later((toast) => !toast.toastr.stale, 'breakfast', 1)
  holds(fresh.toppings[0] === 'Blueberries', 'then the new one')

  heading('A report is built in the background')
  const report = await scene('monthly-sales')
  holds(report.id === report.sameId, 'there is one report for each type and key, whatever the order of the keys')
  holds(report.built.error === 'Data not yet available', 'the first read gets the placeholder')
  const { built } = await later((report) => !report.built.error, 'monthly-sales')
  holds(built.total === 4200, `a later one what the worker built: ${built.total} cents in ${built.month}`)

  heading('The worker stops in order')
  command(`kill -TERM ${worker.pid}`)
  const exitCode = await worker.stop()
  indented(worker.log())
  holds(exitCode === 0, `it finished its running jobs and ended with ${exitCode}`)
}

/** Plays one of the team's scenes (test/hosts/team), and shows and returns what it printed. */
async function scene(name: string, ...args: (string | number)[]) {
  command(commandOf(name, args))
  const result = await playScene(shop, env, name, ...args)
  indented(JSON.stringify(result))
  return result
}

/** Plays it again and again, and shows it once it prints what is awaited. */
async function later(
  awaited: (printed: Awaited<ReturnType<typeof playScene>>) => boolean,
  name: string,
  ...args: (string | number)[]
) {
  command(`${commandOf(name, args)}   # a little later`)
  const result = await waited(`another answer of ${name}`, async () => {
    const result = await playScene(shop, env, name, ...args)
    return awaited(result) && result
  })
  indented(JSON.stringify(result))
  return result
}

function commandOf(name: string, args: (string | number)[]) {
  return ['npx tsx', `src/scenes/${name}.ts`, ...args].join(' ')
}

/** The attempt once it has ended. */
function ended(id: number) {
  return waited(`the end of attempt ${id}`, async () => {
    const attempt = await playScene(shop, env, 'read-attempt', id)
    return ['pending', 'running'].includes(attempt.status) ? undefined : attempt
  })
}

/** Waits for an answer, and says every five seconds what it waits for. */
async function waited<T>(what: string, ask: () => Promise<T>): Promise<NonNullable<T>> {
  const begun = Date.now()
  const progress = setInterval(() => {
    fact(`waiting for ${what}: ${Math.round((Date.now() - begun) / 1000)} s`)
  }, 5000)
  return await eventually(what, ask).finally(() => clearInterval(progress))
}

function rows(sql: string, parameters?: unknown[]) {
  return query(url, sql, parameters)
}
