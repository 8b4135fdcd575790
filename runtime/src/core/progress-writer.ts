import { setTimeout as sleep } from 'node:timers/promises'

/** What a call or a computation has reported. */
export interface Progress {
  /** From 0 to 1. */
  done: number
  message: string | null
}

/** How many characters of a message are stored. */
const MAX_LENGTH = 1000

/** The pause between two reports that are stored, in milliseconds. */
const INTERVAL = 500

/** How long `end` waits for the last report to be stored, in milliseconds. */
const LAST_REPORT = 500

/** Stores reports of progress at most twice a second: the first at once, later the latest. */
export class ProgressWriter {
  readonly #write: (progress: Progress) => Promise<unknown>
  #next: Progress | undefined
  #writing: Promise<void> | undefined
  #ending: AbortController | undefined

  constructor(write: (progress: Progress) => Promise<unknown>) {
    this.#write = write
  }

  /** @param done values outside of 0 to 1 count as the nearest */
  report(done: number, message?: string): void {
    this.#next = {
      done: Math.min(Math.max(done, 0), 1),
      // PostgreSQL stores no NUL characters.
      message: message === undefined ? null : String(message).replaceAll('\0', '').slice(0, MAX_LENGTH),
    }
    this.#writing ??= this.#writeAll()
  }

  /** Has the last report stored. */
  async end(): Promise<void> {
    this.#ending?.abort()
    if (this.#writing) await Promise.race([this.#writing, sleep(LAST_REPORT, undefined, { ref: false })])
  }

  async #writeAll(): Promise<void> {
    this.#ending ??= new AbortController()
    const { signal } = this.#ending
    while (this.#next) {
      const progress = this.#next
      this.#next = undefined
      // A report that cannot be stored is lost. The next one follows.
      await this.#write(progress).catch(() => {})
      await sleep(INTERVAL, undefined, { ref: false, signal }).catch(() => {})
    }
    this.#writing = undefined
  }
}
