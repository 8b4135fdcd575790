// A worker of limited.ts.
import { attemptTask, runWorker } from '@async-gen/runtime'
import { Attempt, db } from './limited.js'

await runWorker(db, { tasks: { attempt: attemptTask(Attempt) }, sweepEvery: 300, pollInterval: 300 })
