// How the time of each statement grows with the finished rows beside it. Databases with 10^4, 10^6 and 10^7 finished attempts, toasts and
// reports have the same few other rows. Each operation runs in all of them, in turns, and its medians are compared.
import { connect } from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { runMigrations } from 'graphile-worker'
import { grow, operations } from '../test/support/grown.js'
import { APP } from '../test/support/host.js'
import { createDatabase, startPostgres } from '../test/support/postgres.js'
import { prisma as prismaCli } from '../test/support/prisma.js'
import { median } from './measure.js'

const ROUNDS = 41
const WARM_UP = 10

/** `SIZES=10000,1000000 npm run bench -- growth` is the shorter run: 10^7 rows take some minutes and 10 GB. */
const sizes = (process.env.SIZES ?? '10000,1000000,10000000').split(',').map(Number)

const { PrismaClient } = await import('../test/.app/src/generated/prisma/client.js')
const postgres = await startPostgres()
try {
  const tables: { size: number; run: ReturnType<typeof operations> }[] = []
  for (const size of sizes) tables.push({ size, run: await grownTo(size) })
  console.log(
    `\n${'median time (ms), and its ratio to the first'.padEnd(46)} ${sizes.map((size) => size.toExponential(0).padStart(16)).join('')}`,
  )
  for (const name of Object.keys(tables[0]!.run) as (keyof ReturnType<typeof operations>)[]) {
    const times = tables.map(() => [] as number[])
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      for (const [i, { run }] of tables.entries()) {
        const started = performance.now()
        await run[name]()
        if (round >= 0) times[i]!.push(performance.now() - started)
      }
    }
    const medians = times.map(median)
    const cells = medians.map((time) => `${time.toFixed(2)} ${(time / medians[0]!).toFixed(2)} ×`.padStart(16))
    console.log(name.padEnd(46), cells.join(''))
  }
} finally {
  process.on('uncaughtException', () => {})
  await postgres.stop()
}
process.exit(0)

async function grownTo(size: number) {
  const started = performance.now()
  const url = await createDatabase(postgres)
  await prismaCli(APP, ['migrate', 'deploy'], { env: { DATABASE_URL: url } })
  await runMigrations({ connectionString: url })
  await grow(url, size)
  console.log(`${size} rows of each table: filled in ${((performance.now() - started) / 1000).toFixed(0)} s`)
  return operations(
    connect(new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) }), { connectionString: url }),
  )
}
