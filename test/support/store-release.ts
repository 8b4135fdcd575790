// Stores a version as hosts have it: `npx tsx test/support/store-release.ts <checkout> <version>`, with a checkout of that version in
// which `npm ci` and `npm run build` have run. See test/hosts/released/README.md.
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { runMigrations } from 'graphile-worker'
import { eventually } from './eventually.js'
import { assembleHost } from './host.js'
import { createDatabase, query, startPostgres } from './postgres.js'
import { prisma } from './prisma.js'
import { ATTEMPT_KEY, folderWithPackagesOf, generators, RELEASED, releasedEdits } from './released.js'
import { rowsAsSql } from './rows-as-sql.js'
import { run } from './run.js'
import { applyEdit, closeStages, playScene } from './team.js'
import { startWorker } from './worker.js'

const [checkout, version] = [resolve(process.argv[2]!), process.argv[3]!]
const dir = folderWithPackagesOf(checkout)
const host = join(dir, 'shop')
const stored = join(RELEASED, version)

rmSync(stored, { recursive: true, force: true })
mkdirSync(stored, { recursive: true })
await storeRuntime()
await generateHost()
storeHost()
await storeRows()
rmSync(dir, { recursive: true })

async function storeRuntime() {
  const { stdout } = await run(checkout, 'npm', [
    'pack',
    '--silent',
    '--workspace',
    'runtime',
    '--pack-destination',
    stored,
  ])
  renameSync(join(stored, stdout.trim()), join(stored, 'runtime.tgz'))
}

async function generateHost() {
  assembleHost('single', host)
  for (const args of generators) {
    await run(host, process.execPath, [join(checkout, 'dist', 'bin', 'async-gen.js'), ...args, '--yes'])
  }
  for (const edit of releasedEdits) applyEdit(host, edit)
  cpSync(join(RELEASED, 'team', 'src'), join(host, 'src'), { recursive: true })
  // Before our models, where a team's own are.
  const schema = join(host, 'prisma', 'schema.prisma')
  const [own, ours] = readFileSync(schema, 'utf8').split('\n// async-gen:begin')
  writeFileSync(
    schema,
    `${own}${readFileSync(join(RELEASED, 'team', 'entries.prisma'), 'utf8')}\n// async-gen:begin${ours}`,
  )
  const folders = readdirSync(join(host, 'prisma', 'migrations')).filter((name) => /^\d/.test(name))
  const folder = join(host, 'prisma', 'migrations', `${BigInt(folders.at(-1)!.slice(0, 14)) + 1n}_add_entries`)
  mkdirSync(folder)
  cpSync(join(RELEASED, 'team', 'migration.sql'), join(folder, 'migration.sql'))
}

function storeHost() {
  const app = join(stored, 'app')
  cpSync(host, app, { recursive: true })
  // Under its own name it would already apply in this repository.
  renameSync(join(app, '.gitignore'), join(app, 'gitignore'))
}

/** Lets the version's own code and workers make rows in every state, and writes them down. */
async function storeRows() {
  const postgres = await startPostgres()
  try {
    const url = await createDatabase(postgres)
    const env = { DATABASE_URL: url, ATTEMPT_KEY }
    await prisma(host, ['generate'], { env })
    await prisma(host, ['migrate', 'deploy'], { env })
    await runMigrations({ connectionString: url })
    const play = (name: string, ...args: (string | number)[]) => playScene(host, env, name, ...args)
    const sql = (text: string, values?: unknown[]) => query(url, text, values)
    const left = (where: string) => async () => (await sql(where)).length === 0
    const entered = (call: string) =>
      eventually(call, async () => (await sql('SELECT FROM "Entry" WHERE call = $1', [call]))[0])

    // What has ended: succeeded, failed for good, cancelled, expired, computed.
    const first = startWorker(host, env)
    await play('record', 'history', 1)
    await play('end', 'history')
    await eventually(
      'the end of what was recorded',
      left(`
      SELECT FROM attempts WHERE status IN ('pending', 'running') UNION ALL
      SELECT FROM payment_attempts WHERE status IN ('pending', 'running') UNION ALL
      SELECT FROM toasts WHERE cached_at IS NULL`),
    )
    await first.stop()

    // What has failed and is to run again, and what a killed worker leaves.
    await play('hold', 'killed')
    await play('fail', 'failing')
    const second = startWorker(host, { ...env, KITCHEN: 'closed' })
    for (const what of ['held', 'held payment', 'supper']) await entered(`killed ${what} waits`)
    await eventually(
      'the failures',
      left(`
      SELECT FROM attempts WHERE method = 'retry' AND num_attempts = 0 UNION ALL
      SELECT FROM payment_attempts WHERE method = 'retry' AND num_attempts = 0 UNION ALL
      SELECT FROM toasts WHERE name = 'oat.lunch' AND cached_at IS NULL AND failures = 0`),
    )
    second.kill('SIGKILL')
    await second.exited

    // What no worker has seen yet.
    await play('record', 'waiting', 2)
    await play('schedule', 'scheduled')
    // Errors hold paths of this machine.
    const rows = (await rowsAsSql(url)).replaceAll(host, '/srv/shop').replaceAll(checkout, '/srv/async-gen')
    writeFileSync(join(stored, 'rows.sql'), rows)
  } finally {
    await closeStages()
    await postgres.stop()
  }
}
