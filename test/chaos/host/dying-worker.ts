// A worker that kills itself, as after a power failure, when some runs (DIE_RUNS) have taken one step (DIE_AT). With DIE_BY=SIGSTOP, it
// hangs instead until it gets SIGCONT. Then it first notices what has happened meanwhile, for HANG_MORE milliseconds.
import { setTimeout as sleep } from 'node:timers/promises'
import { runWorker } from '@async-gen/runtime'
import { Attempt } from './attempt.js'
import { db } from './database.js'

type Step = 'claimed' | 'called' | 'stored' | 'committed' | 'failing' | 'failed'

let { DIE_AT: end, DIE_BY: signal = 'SIGKILL', HANG_MORE: more = '0' } = process.env
let runsLeft = Number(process.env.DIE_RUNS ?? 1)

async function at<Result>(step: Step, result: Result): Promise<Result> {
  if (end !== step) return result
  // The others wait for their death.
  if (--runsLeft > 0) await new Promise(() => {})
  end = undefined
  process.kill(process.pid, signal)
  await sleep(signal === 'SIGKILL' ? 10_000 : Number(more))
  return result
}

const { runs } = Attempt.store
const { claim, end: endRun, endWithin, fail } = runs
runs.claim = async (...args) => at('claimed', await claim.apply(runs, args))
runs.end = async (...args) => at('committed', await endRun.apply(runs, await at('called', args)))
runs.endWithin = async (...args) => at('stored', await endWithin.apply(runs, await at('called', args)))
runs.fail = async (...args) => at('failed', await fail.apply(runs, await at('failing', args)))

const { openTransaction } = db
db.openTransaction = async (options) => {
  const transaction = await openTransaction.call(db, options)
  return { ...transaction, commit: async () => at('committed', await transaction.commit()) }
}

await runWorker(db, { tasks: new URL('./tasks/', import.meta.url) })
