import { runWorker } from '@async-gen/runtime'
import { db } from '../database.js'

await runWorker(db, { tasks: new URL('./tasks/', import.meta.url), sweepEvery: '300ms', concurrency: 5 })
