import { sweepTask } from '@async-gen/runtime'
import { db } from '../database.js'

/** The worker sweeps every few seconds by itself; this is for one out of turn: `SELECT graphile_worker.add_job('sweep')`. */
export default sweepTask(db)
