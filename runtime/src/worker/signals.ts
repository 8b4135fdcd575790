/** The stop signals of a worker process. */
export interface StopSignals {
  /** Aborts at the first signal: the worker takes no more jobs and waits for those that run. */
  stop: AbortSignal
  /** Aborts at the second signal: the running jobs are aborted. */
  abort: AbortSignal
  /** Removes the signal handlers. */
  release(): void
}

/** A signal this soon after the first one is ignored, because the terminal and npm both forward a Ctrl-C. Milliseconds. */
const DEBOUNCE = 500

/** Listens to SIGTERM, which supervisors send, and SIGINT, which Ctrl-C sends. */
export function listenForStopSignals(): StopSignals {
  const stop = new AbortController()
  const abort = new AbortController()
  let firstAt = 0
  const onSignal = () => {
    if (!stop.signal.aborted) {
      firstAt = performance.now()
      stop.abort()
    } else if (performance.now() - firstAt > DEBOUNCE) abort.abort()
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  return {
    stop: stop.signal,
    abort: abort.signal,
    release: () => void process.off('SIGTERM', onSignal).off('SIGINT', onSignal),
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
