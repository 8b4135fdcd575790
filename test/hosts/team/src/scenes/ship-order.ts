import { Attempt } from '../async/attempt.js'
import { Warehouse } from '../warehouse.js'
import { scene } from './scene.js'

// ship-order <number>
await scene(async () => {
  const attempt = await Attempt.async(Warehouse).ship({ orderNumber: Number(process.argv[2]) })
  return { attempt: Number(attempt.id) }
})
