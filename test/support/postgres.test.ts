import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, inject, it } from 'vitest'
import { eventually } from './eventually.js'
import { createDatabase, type PostgresServer, query } from './postgres.js'
import { childEnv } from './run.js'

const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
const program = fileURLToPath(new URL('postgres-user.ts', import.meta.url))

it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
  'a throwaway PostgreSQL goes, with its files, when its user ends by %s',
  async (signal) => {
    const user = await startUser({ DATABASE_URL: '' })
    const files = join(tmpdir(), user.server.prefix)
    expect(await databases(user.server.url)).toContain(`${user.server.prefix}_left_behind`)
    expect(existsSync(files)).toBe(true)

    user.process.kill(signal)
    await eventually('the files to go', async () => !existsSync(files))
    await expect(databases(user.server.url)).rejects.toThrow('ECONNREFUSED')
  },
)

it('on a server of your own only the databases of the run are dropped, even when it is killed', async () => {
  const { url } = inject('postgres')
  const own = new URL(await createDatabase(inject('postgres'))).pathname.slice(1)
  const user = await startUser({ DATABASE_URL: url })
  const leftBehind = `${user.server.prefix}_left_behind`
  expect(await databases(url)).toContain(leftBehind)

  user.process.kill('SIGKILL')
  await eventually('the database to go', async () => !(await databases(url)).includes(leftBehind))
  expect(await databases(url)).toContain(own)
})

async function startUser(env: Record<string, string>) {
  const child = spawn(process.execPath, ['--import', loader, program], {
    env: childEnv(env),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { process: child, server: JSON.parse(line) as PostgresServer }
}

async function databases(url: string): Promise<string[]> {
  return (await query(url, 'SELECT datname FROM pg_database')).map((row) => row.datname)
}
