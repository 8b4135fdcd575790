import type { Row } from './result.js'

/** One of those that are compared. */
export interface Contender {
  name: string
  note?: string
  /** Does it once and returns what was measured, by the key of the column. */
  round(): Promise<Record<string, number>>
}

/**
 * Runs a round of each contender in turn, so that a slow moment of the machine hits all of them. One more round of each comes before, to warm
 * up, and is not counted; a short run of one round has none.
 */
export async function alternate(contenders: Contender[], rounds: number): Promise<Row[]> {
  const rows = contenders.map(({ name, note }): Row => ({ name, values: {}, ...(note && { note }) }))
  for (let round = rounds > 1 ? -1 : 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const measured = await contender.round()
      if (round >= 0) addValues(rows[i]!, measured)
    }
  }
  return rows
}

/** Adds what a round has measured to a row. */
export function addValues({ values }: Row, measured: Record<string, number>): void {
  for (const [key, value] of Object.entries(measured)) values[key] = [...(values[key] ?? []), value]
}

/** Milliseconds that something takes. */
export async function time(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** How many of `count` a second were done in so many milliseconds. */
export function rate(count: number, milliseconds: number): number {
  return (count * 1000) / milliseconds
}

/** The results of work that runs at the same time. If some of it fails, the rest ends first. */
export async function together<Result>(work: Promise<Result>[]): Promise<Result[]> {
  await Promise.allSettled(work)
  return await Promise.all(work)
}

export async function repeat(count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i++) await work(i)
}
