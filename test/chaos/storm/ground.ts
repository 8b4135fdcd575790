import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createDatabase, query, startPostgres } from '../../support/postgres.js'
import { prisma } from '../../support/prisma.js'
import { Fleet } from './fleet.js'
import { installChaosHost } from './host.js'
import type { Ground } from './scene.js'

const ROLE = 'chaos_app'

/** A throwaway PostgreSQL, and an application outside of the repository that connects to it as an ordinary role. */
export async function prepareGround(): Promise<Ground & { version: string; leave(): Promise<void> }> {
  // Restarts and full servers are for a server of our own.
  delete process.env.DATABASE_URL
  const { stop, crash, start, ...server } = await startPostgres()
  const host = await installChaosHost()
  const leave = async () => {
    await stop()
    rmSync(host, { recursive: true, force: true })
  }
  try {
    const password = randomBytes(12).toString('hex')
    await query(server.url, `CREATE ROLE ${ROLE} LOGIN PASSWORD '${password}'`)
    // What is committed outlives a server that is stopped at once: the server of the tests promises less.
    await query(server.url, 'ALTER ROLE ALL SET synchronous_commit = on')
    const as = (url: string, name: string, secret: string) =>
      Object.assign(new URL(url), { username: name, password: secret }).href
    const create = async (options: { name?: string; template?: string }) => {
      const admin = await createDatabase(server, options)
      await query(server.url, `ALTER DATABASE "${new URL(admin).pathname.slice(1)}" OWNER TO ${ROLE}`)
      return { admin, url: as(admin, ROLE, password) }
    }
    const template = await create({ name: 'template' })
    await prisma(host, ['migrate', 'deploy'], { env: { DATABASE_URL: template.url } })
    // The first worker makes Graphile Worker's tables.
    const fleet = new Fleet(host, { DATABASE_URL: template.url, WITNESS_URL: template.admin })
    await fleet.start(1)
    await fleet.stop(...fleet.running)
    const [row] = await query(server.url, 'SHOW server_version')
    return {
      host,
      createDatabase: () => create({ template: 'template' }),
      server: { crash, start },
      version: row.server_version,
      leave,
    }
  } catch (error) {
    await leave()
    throw error
  }
}
