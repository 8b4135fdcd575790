// Makes test/.app, which the tests of the runtime import: the shop inside the repository, so that it finds its packages
// there, with what the built CLI generates in it. Run by `npm run test:prepare`.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { APP, assembleHost, asyncGen } from './host.js'
import { prisma } from './prisma.js'

// Beside the old one until it is whole: tests that run meanwhile go on with the old one, and a failure leaves it.
const next = `${APP}-${process.pid}`
const old = `${next}-old`
try {
  assembleHost('single', next)
  await asyncGen(next, ['install', '--yes'])
  await asyncGen(next, ['attempt', '--yes'])
  await asyncGen(next, ['reports', 'MonthlySales', '--yes'])
  await prisma(next, ['generate'])
  if (existsSync(APP)) renameSync(APP, old)
  renameSync(next, APP)
} finally {
  rmSync(next, { recursive: true, force: true })
  rmSync(old, { recursive: true, force: true })
}
console.log('test/.app is ready')
