// Makes what the tests stand on, from the CLI and the built runtime: test/.packages, the two tarballs that npm would publish,
// and test/.app, the shop inside the repository (so that it finds its packages there) with all that the CLI generates.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { APP, assembleHost, asyncGen, PACKAGES, REPOSITORY } from './host.js'
import { prisma } from './prisma.js'
import { run } from './run.js'

const made = await Promise.allSettled([
  replace(PACKAGES, async (dir) => {
    mkdirSync(dir, { recursive: true })
    await run(REPOSITORY, 'npm', ['pack', '--workspaces', '--include-workspace-root', '--pack-destination', dir])
  }),
  replace(APP, async (dir) => {
    assembleHost('single', dir)
    // The repository ends here, for a formatter: Biome would be started for each file.
    mkdirSync(join(dir, '.git'))
    await asyncGen(dir, ['install', '--yes'])
    await asyncGen(dir, ['attempt', '--yes'])
    await asyncGen(dir, ['reports', 'MonthlySales', '--yes'])
    await prisma(dir, ['generate'])
  }),
])
for (const result of made) if (result.status === 'rejected') throw result.reason
console.log('test/.packages and test/.app are ready')

/** Makes a folder beside the old one, until it is whole: what runs meanwhile goes on with the old one, and a failure leaves it. */
async function replace(dir: string, make: (dir: string) => Promise<void>) {
  const next = `${dir}-${process.pid}`
  const old = `${next}-old`
  try {
    await make(next)
    if (existsSync(dir)) renameSync(dir, old)
    renameSync(next, dir)
  } finally {
    for (const left of [next, old]) rmSync(left, { recursive: true, force: true })
  }
}
