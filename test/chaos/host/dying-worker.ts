// A worker that kills itself after one step of a run (DIE_AT), as after a power failure. With DIE_BY=SIGSTOP, it hangs instead
// until it gets SIGCONT.
import { setTimeout as sleep } from 'node:timers/promises'
import { runWorker } from '@async-gen/runtime'
import { Attempt } from './attempt.js'
import { db } from './database.js'

type Step = 'claimed' | 'called' | 'stored' | 'committed'

let { DIE_AT: end, DIE_BY: signal = 'SIGKILL' } = process.env

async function at<Result>(step: Step, result: Result): Promise<Result> {
  if (end === step) {
    end = undefined
    process.kill(process.pid, signal)
    if (signal === 'SIGKILL') await sleep(10_000)
  }
  return result
}

const { runs } = Attempt.store
const { claim, succeed, succeedWithin } = runs
runs.claim = async (...args) => at('claimed', await claim.apply(runs, args))
runs.succeed = async (...args) => at('committed', await succeed.apply(runs, await at('called', args)))
runs.succeedWithin = async (...args) => at('stored', await succeedWithin.apply(runs, await at('called', args)))

const { openTransaction } = db
db.openTransaction = async () => {
  const transaction = await openTransaction.call(db)
  return { ...transaction, commit: async () => at('committed', await transaction.commit()) }
}

await runWorker(db, { tasks: new URL('./tasks/', import.meta.url) })
