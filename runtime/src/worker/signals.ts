/** How a worker is told to stop. */
export interface Stopping {
  /** Aborts at the first signal: nothing new is taken, what runs is finished. */
  asked: AbortSignal
  /** Aborts at the second one: what runs is told to stop. */
  hurried: AbortSignal
  /** Stops listening. */
  release(): void
}

/** For how long a signal may be the first one again, in milliseconds: both the terminal and npm pass a Ctrl-C on. */
const ECHO = 500

/** Listens to SIGTERM, which supervisors send, and SIGINT, which Ctrl-C sends. */
export function stopOnSignals(): Stopping {
  const asked = new AbortController()
  const hurried = new AbortController()
  let first = 0
  const stop = () => {
    if (!asked.signal.aborted) {
      first = performance.now()
      asked.abort()
    } else if (performance.now() - first > ECHO) hurried.abort()
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
  return {
    asked: asked.signal,
    hurried: hurried.signal,
    release: () => void process.off('SIGTERM', stop).off('SIGINT', stop),
  }
}

/** Resolves when one of the signals aborts. */
export function aborted(...signals: AbortSignal[]): Promise<void> {
  const any = AbortSignal.any(signals)
  return new Promise((resolve) => {
    if (any.aborted) resolve()
    else any.addEventListener('abort', () => resolve(), { once: true })
  })
}
