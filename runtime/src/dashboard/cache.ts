interface Entry {
  at: number
  value: Promise<unknown>
}

/** How many answers are kept. A filter that users enter makes an answer of its own. */
const MAX_ENTRIES = 100

/** What the pages of this process have read a moment ago: however many tabs are open, they cost one query. */
export class ReadCache {
  readonly #entries = new Map<string, Entry>()

  /** @param maxAge in milliseconds */
  async get<Value>(key: string, maxAge: number, read: () => Promise<Value>): Promise<Value> {
    const known = this.#entries.get(key)
    if (known && performance.now() - known.at < maxAge) return (await known.value) as Value
    const value = read()
    this.#entries.delete(key)
    this.#entries.set(key, { at: performance.now(), value })
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > MAX_ENTRIES) this.#entries.delete(oldest!)
    // The next page tries again.
    value.catch(() => {
      if (this.#entries.get(key)?.value === value) this.#entries.delete(key)
    })
    return await value
  }

  /** After an action, its effects are to be seen. */
  clear(): void {
    this.#entries.clear()
  }
}
