// A worker that kills itself at one step of a run (DIE_AT), as if the power had failed there; or, with DIE_BY=SIGSTOP, hangs there
// until somebody sends it SIGCONT.
import { setTimeout as sleep } from 'node:timers/promises'
import { runWorker } from '@async-gen/runtime'
import { Attempt } from './attempt.js'
import { db } from './database.js'

type Step = 'claimed' | 'made' | 'stored' | 'committed'

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
runs.succeed = async (...args) => at('committed', await succeed.apply(runs, await at('made', args)))
runs.succeedWithin = async (...args) => at('stored', await succeedWithin.apply(runs, await at('made', args)))

const { openTransaction } = db
db.openTransaction = async () => {
  const transaction = await openTransaction.call(db)
  return { ...transaction, commit: async () => at('committed', await transaction.commit()) }
}

await runWorker(db, { tasks: new URL('./tasks/', import.meta.url) })
