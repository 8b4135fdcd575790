import { attemptTask, refreshToastTask, runWorker } from '@async-gen/runtime'
import { Attempt, db } from './fresh.js'

await runWorker(db, {
  tasks: {
    attempt: attemptTask(Attempt),
    refresh_toast: refreshToastTask(db),
    refresh_report: refreshToastTask(db),
  },
  sweepEvery: 300,
  pollInterval: 300,
})
