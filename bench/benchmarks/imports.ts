import { spawnSync } from 'node:child_process'
import { REPOSITORY } from '../../test/support/host.js'
import type { BenchContext } from '../context.js'
import type { Table } from '../result.js'
import { alternate } from '../rounds.js'

const MODULES = ['@async-gen/runtime', 'graphile-worker', '@prisma/client/runtime/client', 'pg']

/** How long a process waits for the import of the runtime, and of what it stands on. */
export async function imports({ short }: BenchContext): Promise<Table[]> {
  const rows = await alternate(
    MODULES.map((name) => ({ name, round: async () => ({ time: timeOf(name) }) })),
    short ? 1 : 15,
  )
  return [
    {
      id: 'imports',
      title: 'Importing the runtime',
      method:
        "Each in a new process, which imports nothing else. The runtime imports pg and Prisma's runtime; a worker loads Graphile Worker too.",
      columns: [{ key: 'time', title: 'ms', digits: 0 }],
      rows,
    },
  ]
}

/** Milliseconds. */
function timeOf(name: string): number {
  const program = `const started = performance.now(); await import('${name}'); process.stdout.write(String(performance.now() - started))`
  const resolvePeers = new URL('../peers/resolve.mjs', import.meta.url).href
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', resolvePeers, '--input-type=module', '--eval', program],
    { cwd: REPOSITORY, encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`import of ${name} ended with ${status}:\n${stderr}`)
  return Number(stdout)
}
