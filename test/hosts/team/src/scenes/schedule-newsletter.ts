import { Attempt } from '../async/attempt.js'
import { Newsletter } from '../newsletter.js'
import { scene } from './scene.js'

// schedule-newsletter <seconds from now>
await scene(async () => {
  const time = new Date(Date.now() + Number(process.argv[2]) * 1000)
  const attempt = await Attempt.schedule(time, Newsletter, { priority: 12 }).deliverAll()
  return { attempt: Number(attempt.id) }
})
