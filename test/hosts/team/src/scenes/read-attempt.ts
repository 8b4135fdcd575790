import { Attempt } from '../async/attempt.js'
import { scene } from './scene.js'

// read-attempt <id>
await scene(async () => {
  const attempt = await Attempt.find(Number(process.argv[2]))
  if (!attempt) return null
  const { status, numAttempts, result, errors } = attempt
  return { status, numAttempts, result, errors }
})
