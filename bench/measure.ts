/** What a contender does in one round, and how many times a second it did it. */
export interface Contender {
  name: string
  /** Does `count` of it and returns how many seconds that took. */
  round(count: number): Promise<number>
}

/** Runs contenders side by side, a round of each in turn, and returns the median rate of each, in times a second. */
export async function rates(contenders: Contender[], { rounds, count }: { rounds: number; count: number }) {
  const measured = new Map(contenders.map(({ name }) => [name, [] as number[]]))
  // One round of each to warm up is not counted.
  for (let round = 0; round <= rounds; round++) {
    for (const { name, round: run } of contenders) {
      const seconds = await run(count)
      if (round > 0) measured.get(name)!.push(count / seconds)
    }
  }
  return new Map([...measured].map(([name, all]) => [name, median(all)]))
}

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

/** Prints rates as ratios to a base, which is what can be compared between machines. */
export function report(title: string, rates: Map<string, number>, base: string) {
  console.log(`\n${title}`)
  for (const [name, rate] of rates) {
    const ratio = (rate / rates.get(base)!).toFixed(2)
    console.log(`  ${name.padEnd(58)} ${Math.round(rate).toLocaleString('en').padStart(8)}/s  ${ratio} ×`)
  }
}

export function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}
