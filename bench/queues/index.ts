import { asyncGen } from './async-gen.js'
import { graphileWorker } from './graphile-worker.js'
import { pgBoss } from './pg-boss.js'
import type { Queue } from './queue.js'

export const queues: Queue[] = [asyncGen, graphileWorker, pgBoss]
