import { runWorker } from '@async-gen/runtime'
import { db } from './database.js'

process.title = 'shop worker'

// The worker process. Each file in tasks/ is a Graphile Worker task; add your own beside the generated ones. What your
// application loads first (`import 'dotenv/config'`) belongs at the top here, too.
await runWorker(db, { tasks: new URL('./tasks/', import.meta.url), concurrency: 4, sweepEvery: '1s' })
