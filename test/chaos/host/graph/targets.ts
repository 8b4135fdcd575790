import { setTimeout as sleep } from 'node:timers/promises'
import { defineTargets, PermanentError } from '@async-gen/runtime'
import { prisma } from '../../../.app/src/db.js'
import { Attempt } from './attempt.js'

/** The calls of the tests with random dependencies and batches. */
const Graph = {
  node: async (name: string, takes: number, fails: boolean): Promise<string> => {
    await sleep(takes)
    if (fails && (await failsNow())) throw new PermanentError(`${name} fails`)
    return name
  },
  /** Adds calls to its own batch, once, in its own transaction. */
  grow: async (name: string, calls: number): Promise<string> => {
    const current = Attempt.current()
    const tx = await current.tx()
    const added = Array.from({ length: calls }, (_, i) => ({
      target: Graph,
      method: 'node' as const,
      args: [`${name}.${i}`, 5, false] as [string, number, boolean],
    }))
    await current.batch!.add(added, { tx })
    await sleep(10)
    return name
  },
  follow: async (): Promise<number> => (await Attempt.current().batch!.counts()).ended,
}

/** Whether calls that fail still do: a test ends that, and retries them. */
async function failsNow(): Promise<boolean> {
  const [row] = await prisma.$queryRaw<{ fails: boolean }[]>`SELECT fails FROM graph`
  return row!.fails
}

export const targets = defineTargets(() => ({ Graph }))
