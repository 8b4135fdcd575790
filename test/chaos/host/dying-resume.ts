// Resumes the calls of Probe, and kills itself after a number of statements and transactions (DIE_AFTER), as after a power failure.
import { setTimeout as sleep } from 'node:timers/promises'
import { Attempt } from './attempt.js'
import { db } from './database.js'
import { Probe } from './targets.js'

let left = Number(process.env.DIE_AFTER)

async function counted<Result>(result: Result): Promise<Result> {
  if (--left === 0) {
    process.kill(process.pid, 'SIGKILL')
    await sleep(10_000)
  }
  return result
}

const { query, transaction } = db
db.query = async (...args) => counted((await query(...args)) as never)
db.transaction = async (...args) => counted((await transaction.apply(db, args)) as never)

await Attempt.resume(Probe)
await db.close()
