/** A method that an override of `around` runs. The run does not end before the method has, also if the override does not await it. */
export class AwaitedMethod {
  readonly #run: () => Promise<unknown>
  #running: Promise<unknown> | undefined
  #isRunning = false

  constructor(run: () => Promise<unknown>) {
    this.#run = run
  }

  readonly next = (): Promise<unknown> => {
    const running = this.#run()
    this.#running = running
    this.#isRunning = true
    const settled = () => {
      this.#isRunning = false
    }
    // The override may not await it. `settled` throws its error then.
    running.then(settled, settled)
    return running
  }

  /** Waits for the method if it still runs, and throws what it throws. */
  async settled(): Promise<void> {
    if (this.#isRunning) await this.#running
  }
}
