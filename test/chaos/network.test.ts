import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { migrate, readMigrations } from '../../runtime/src/testing/migrations.js'
import { eventually } from '../support/eventually.js'
import { APP, REPOSITORY } from '../support/host.js'
import { createDatabase, query, startPostgres } from '../support/postgres.js'
import { bundled } from '../support/programs.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

/** A network of this run's own: a bridge, and network namespaces that are plugged into it, each as good as a host. */
const BRIDGE = `ag${process.pid}`
const NETWORK = `10.213.${process.pid % 256}`
const HOSTS = ['a', 'b', 'c'].map((letter) => `${BRIDGE}${letter}`)
const [, CUT_OFF = ''] = HOSTS
/** The bridge's end of a host's cable. */
const cable = (host: string) => `v${host}`

const refused = ip('netns', 'add', HOSTS[0]!) ?? (ip('netns', 'delete', HOSTS[0]!) || undefined)
if (refused)
  console.log(`Skipped: hosts of their own network need network namespaces, and \`ip netns add\` says: ${refused}`)

describe.skipIf(refused)('three hosts, one of which loses its network while it works', () => {
  const workers: WorkerProcess[] = []
  let stopPostgres: () => Promise<void> = async () => {}

  afterEach(async () => {
    for (const worker of workers) worker.kill('SIGKILL')
    await Promise.all(workers.map(({ exited }) => exited))
  })
  afterAll(async () => {
    tearDown()
    await stopPostgres()
  })

  it('P13: no call is lost, no effect through tx() happens twice, and the host reconnects', async () => {
    setUp()
    const { stop, ...server } = await startPostgres({ network: `${NETWORK}.1/24` })
    stopPostgres = stop
    const url = await createDatabase(server)
    const sql = (text: string, values: unknown[] = []) => query(url, text, values)
    await migrate(url, readMigrations(join(APP, 'prisma', 'migrations')), undefined)
    await sql('CREATE TABLE effects (id serial, what text, pid int, at timestamptz DEFAULT clock_timestamp())')
    process.env.DATABASE_URL = url
    const { Attempt } = await import('./host/attempt.js')
    const { Probe } = await import('./host/targets.js')
    const { db } = await import('./host/database.js')

    const there = new URL(url)
    there.hostname = `${NETWORK}.1`
    for (const host of HOSTS) {
      const env = { DATABASE_URL: there.href, ASYNC_WORKER_CONCURRENCY: '4' }
      const naming = ['unshare', '--uts', 'sh', '-c', `hostname ${host} && exec "$@"`, 'sh']
      workers.push(
        startWorker(REPOSITORY, env, bundled('test/chaos/host/worker.ts'), ['ip', 'netns', 'exec', host, ...naming]),
      )
    }
    const present = async () => (await db.workers()).map(({ host }) => host).sort()
    await eventually('all hosts', async () => (await present()).length === 3)
    expect(await present()).toEqual(HOSTS)

    const calls = await Promise.all(Array.from({ length: 60 }, (_, i) => Attempt.async(Probe).once(`call ${i}`, 1000)))
    const cutOff = workers[1]!
    const begunThere = () => sql(`SELECT FROM effects WHERE pid = $1 AND what LIKE '%began'`, [cutOff.pid])
    await eventually('work on the host', async () => (await begunThere()).length >= 4)
    ip('link', 'set', cable(CUT_OFF), 'nomaster')
    const cut = Date.now()

    await eventually('the others to notice', async () => (await present()).length === 2)
    const noticed = (Date.now() - cut) / 1000
    const succeeded = async () =>
      Number((await sql(`SELECT count(*) FROM attempts WHERE status = 'succeeded'`))[0].count)
    await eventually('all calls', async () => (await succeeded()) === calls.length)
    const finished = (Date.now() - cut) / 1000
    const lost = await sql(`SELECT FROM attempts WHERE errors @> '[{"name": "WorkerDied"}]'`)
    console.log(
      `A host of 3 was cut off: noticed after ${noticed} s; ${lost.length} calls made again; all done after ${finished} s.`,
    )
    expect(noticed).toBeLessThan(10)
    expect(lost.length).toBeGreaterThan(0)
    const effects = await sql(
      `SELECT what, count(*)::int AS times FROM effects WHERE what ~ '^call \\d+$' GROUP BY what`,
    )
    expect(effects).toHaveLength(60)
    expect(effects.filter(({ times }) => times !== 1)).toEqual([])

    ip('link', 'set', cable(CUT_OFF), 'master', BRIDGE)
    await eventually('its return', async () => (await present()).length === 3)
    expect(cutOff.log()).toContain('The session with PostgreSQL was lost')
    await Promise.all(Array.from({ length: 12 }, (_, i) => Attempt.async(Probe).once(`later ${i}`, 1000)))
    await eventually('its work', async () => (await begunThere()).length > 4 && (await succeeded()) === 72)
  }, 180_000)
})

function setUp() {
  tearDown()
  must('link', 'add', BRIDGE, 'type', 'bridge')
  must('address', 'add', `${NETWORK}.1/24`, 'dev', BRIDGE)
  must('link', 'set', BRIDGE, 'up')
  for (const [i, host] of HOSTS.entries()) {
    must('netns', 'add', host)
    must('link', 'add', cable(host), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
    must('link', 'set', cable(host), 'master', BRIDGE, 'up')
    must('-n', host, 'address', 'add', `${NETWORK}.${i + 11}/24`, 'dev', 'eth0')
    must('-n', host, 'link', 'set', 'eth0', 'up')
    must('-n', host, 'link', 'set', 'lo', 'up')
  }
}

function tearDown() {
  for (const host of HOSTS) {
    ip('link', 'delete', cable(host))
    ip('netns', 'delete', host)
  }
  ip('link', 'delete', BRIDGE)
}

function must(...args: string[]) {
  const refused = ip(...args)
  if (refused) throw new Error(`ip ${args.join(' ')}: ${refused}`)
}

/** Why the command failed; undefined where it did not. */
function ip(...args: string[]): string | undefined {
  const { status, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' })
  return status === 0 ? undefined : (error?.message ?? stderr.trim())
}
