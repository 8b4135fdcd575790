// One of several processes that read the same thing at the same time. Told `<what> <argument>` on a line of its input, it lets
// 200 readers loose and prints what they got, each answer once.
import { createInterface } from 'node:readline'
import { isReady } from '@async-gen/runtime'
import { prisma } from '../../.app/src/db.js'
import { db } from './database.js'
import { slowBreakfast, thing } from './toasts.js'

const READERS = 200

const reads: Record<string, (argument: number) => Promise<() => Promise<unknown>>> = {
  fetch: async (version) => () => thing.fetch('thing', version),
  read: async () => {
    const parent = await prisma.oat.findFirstOrThrow()
    return async () => {
      const reading = await slowBreakfast(parent)
      return isReady(reading) ? { oat: reading.oat, stale: reading.toastr.stale } : reading
    }
  },
  wait: async () => {
    const parent = await prisma.oat.findFirstOrThrow()
    return async () => {
      const reading = await slowBreakfast(parent, { wait: '10s' })
      return isReady(reading) ? reading.oat : reading
    }
  },
  fresh: async () => {
    const parent = await prisma.oat.findFirstOrThrow()
    return async () => (await slowBreakfast.fresh(parent)).oat
  },
}

console.log('"ready"')
for await (const line of createInterface({ input: process.stdin })) {
  const [what = '', argument] = line.split(' ')
  const read = await reads[what]!(Number(argument))
  const answers = await Promise.all(Array.from({ length: READERS }, read))
  console.log(
    JSON.stringify([...new Set(answers.map((answer) => JSON.stringify(answer)))].map((text) => JSON.parse(text))),
  )
}
await db.close()
await prisma.$disconnect()
