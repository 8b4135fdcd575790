// A worker of one of the queues: `worker-process.ts pg-boss <url> <options as JSON>`.
import { queues } from './index.js'

const [name, url = '', options = '{}'] = process.argv.slice(2)
await queues.find((queue) => queue.name === name)!.work(url, JSON.parse(options))
process.send!('ready')
