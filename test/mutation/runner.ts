import { appendFileSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { TestRunner } from 'vitest'
import { getFn } from 'vitest/suite'

type Test = Parameters<TestRunner['onAfterRunTask']>[0]

/** What one run of a test file has to do. */
export interface Plan {
  /** The file to which each event is appended, as a line of JSON. */
  events: string
  /** The mutants that no test has noticed yet. */
  mutants: { number: number; file: string; units: number[]; left: number }[]
  /** The tests that an earlier run of the file has ended with. */
  done: string[]
}

/** What happened in the run of a test file. */
export type MutationEvent =
  | { kind: 'begun'; mutant: number; test: string; limit: number }
  | { kind: 'passed'; mutant: number; milliseconds: number }
  | { kind: 'noticed'; mutant: number; test: string; message: string }
  | { kind: 'unsound'; test: string; message: string }
  /** The test fails without any mutant after it has failed with one: the process is not to be trusted any more. */
  | { kind: 'spoilt'; test: string }
  | { kind: 'done'; test: string }

declare global {
  var mutant: number | undefined
  var covered: ((file: string, unit: number) => void) | undefined
  var onMutant: ((evaluate: () => void) => void) | undefined
}

/** One run of a test: without a mutant, or with one. */
interface Try {
  mutant: number | undefined
  /** The mutant that the test has just noticed, if it passes without it. */
  proves?: number
}

/** A test with a mutant may take so much longer than without one. */
const SLOWER = 5
const GRACE = 5_000

/**
 * Runs each test without any change, then once more, to see that it can be repeated, and then with each mutant of what it has run, in the
 * same process. When a test fails with a mutant, it has to pass again without it.
 */
export default class MutationRunner extends TestRunner {
  readonly #plan: Plan = JSON.parse(readFileSync(process.env.MUTATION_PLAN!, 'utf8'))
  readonly #alive = new Map(this.#plan.mutants.map((mutant) => [mutant.number, mutant]))
  readonly #constants: (() => void)[] = []
  readonly #covered = new Set<string>()
  #tries: Try[] = []
  #current: Try = { mutant: undefined }
  #cleanTries = 0
  #started = 0
  #duration = 0

  constructor(...args: ConstructorParameters<typeof TestRunner>) {
    super(...args)
    globalThis.covered = (file, unit) => this.#covered.add(`${file}:${unit}`)
    globalThis.onMutant = (evaluate) => this.#constants.push(evaluate)
  }

  override async onBeforeRunTask(test: Test): Promise<void> {
    await super.onBeforeRunTask(test)
    if (this.#plan.done.includes(test.id)) test.mode = 'skip'
    this.#tries = [{ mutant: undefined }]
    this.#cleanTries = 0
    // Ends earlier, when no tries are left.
    test.repeats = 1e6
  }

  override onBeforeTryTask(test: Test): void {
    super.onBeforeTryTask(test)
    this.#current = this.#tries.shift()!
    this.#covered.clear()
    this.#started = performance.now()
    const { mutant } = this.#current
    this.#set(mutant)
    if (mutant !== undefined) this.#tell({ kind: 'begun', mutant, test: nameOf(test), limit: this.#limit })
  }

  async runTask(test: Test): Promise<void> {
    const run = withoutDiff(getFn(test))
    if (this.#current.mutant === undefined) return await run
    const late = sleep(this.#limit, undefined, { ref: false }).then(() => {
      throw new Error('The time limit is over.')
    })
    await Promise.race([run, late])
  }

  onAfterRetryTask(test: Test): void {
    this.#set(undefined)
    const { result } = test
    const message = result?.state === 'fail' ? (result.errors?.[0]?.message ?? 'an error') : undefined
    const { mutant, proves } = this.#current
    if (proves !== undefined) this.#afterProof(test, proves, message)
    else if (mutant === undefined) this.#afterClean(test, message)
    else this.#afterMutant(mutant, message)

    if (!result) return
    delete result.errors
    result.state = this.#tries.length > 0 ? 'pass' : 'skip'
    if (this.#tries.length === 0) this.#tell({ kind: 'done', test: test.id })
  }

  get #limit(): number {
    return SLOWER * this.#duration + GRACE
  }

  #afterClean(test: Test, message: string | undefined): void {
    this.#cleanTries++
    this.#duration = performance.now() - this.#started
    const covering = this.#coveringMutants()
    if (message !== undefined) this.#tell({ kind: 'unsound', test: nameOf(test), message })
    else if (covering.length === 0) return
    else if (this.#cleanTries === 1) this.#tries.push({ mutant: undefined })
    else this.#tries.push(...covering.map((mutant) => ({ mutant })))
  }

  #afterMutant(mutant: number, message: string | undefined): void {
    const milliseconds = performance.now() - this.#started
    if (message !== undefined) {
      this.#message = message
      this.#tries.unshift({ mutant: undefined, proves: mutant })
      return
    }
    this.#tell({ kind: 'passed', mutant, milliseconds })
    const known = this.#alive.get(mutant)!
    known.left -= milliseconds
    if (known.left < 0) this.#alive.delete(mutant)
  }

  #message = ''

  #afterProof(test: Test, mutant: number, message: string | undefined): void {
    this.#tell({ kind: 'noticed', mutant, test: nameOf(test), message: this.#message })
    this.#alive.delete(mutant)
    if (message === undefined) return
    this.#tell({ kind: 'spoilt', test: nameOf(test) })
    process.kill(process.pid, 'SIGKILL')
  }

  #coveringMutants(): number[] {
    const isCovered = ({ file, units }: Plan['mutants'][number]) =>
      units.some((unit) => this.#covered.has(`${file}:${unit}`))
    return [...this.#alive.values()].filter(isCovered).map(({ number }) => number)
  }

  #set(mutant: number | undefined): void {
    globalThis.mutant = mutant
    for (const evaluate of this.#constants) evaluate()
  }

  #tell(event: MutationEvent): void {
    appendFileSync(this.#plan.events, `${JSON.stringify(event)}\n`)
  }
}

/** To show a diff, Vitest reads the getters of a copy. If one of them throws, Vitest does not report that the test has ended. */
async function withoutDiff(run: () => unknown): Promise<void> {
  try {
    await run()
  } catch (error) {
    if (error instanceof Error) Object.assign(error, { showDiff: false })
    throw error
  }
}

function nameOf({ fullTestName, name }: Test): string {
  return fullTestName ?? name
}

// pg refuses another text under the name of a prepared statement.
const { prototype } = pg.Query as unknown as {
  prototype: { submit: (this: { name?: string }, ...args: unknown[]) => unknown }
}
const { submit } = prototype
prototype.submit = function (...args) {
  if (this.name && globalThis.mutant !== undefined) this.name = `${this.name}#${globalThis.mutant}`
  return submit.apply(this, args)
}
