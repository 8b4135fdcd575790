import type { LiveState } from './state.js'

/** A state to send. */
export interface LiveEvent {
  /** The version of the row: what the client sends as Last-Event-ID when it connects again. */
  version: string
  /** The state as JSON. */
  json: string
  finished: LiveState['finished']
}

/** The streams of a handler that are open. */
export interface OpenStreams {
  /** The functions that end them. */
  ends: Set<() => void>
  /** Whether streams that have not begun must not begin. */
  isClosed: boolean
}

export interface EventStreamOptions {
  /** Begins to follow the row. Returns a function that ends it. */
  follow(send: (event: LiveEvent) => void): () => void
  /** When the stream ends, in milliseconds since 1970. */
  expiresAt: number
  /** Aborts when the client has closed the connection. */
  signal: AbortSignal
  /** Has this stream from its first read to its end. */
  streams: OpenStreams
}

/** Tells a browser how long it waits before it connects again, in milliseconds. */
export const RETRY_FIELD = 'retry: 2000\n\n'

/** Proxies close connections without traffic, often after 30 or 60 seconds. Milliseconds. */
const HEARTBEAT = 15_000

/** The longest delay of a timer, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1

/** Ends the id of the last event. A browser that connects again with it gets no further events. */
const LAST = '-last'

/** Whether a client has received the last event. */
export function hasReceivedLast(lastEventId: string | null): boolean {
  return lastEventId?.endsWith(LAST) ?? false
}

/**
 * Server-sent events. A chunk is made when the connection can take one, so a slow client gets the newest state and not all of them. The row
 * is followed from the first read on, until the last event, the expiry, or the end of the connection.
 */
export function eventStream({ follow, expiresAt, signal, streams }: EventStreamOptions): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let next: LiveEvent | undefined
  let isHeartbeatDue = false
  let hasEnded = false
  let isCancelled = false
  let wake = () => {}
  let release: (() => void) | undefined

  const begin = () => {
    const heartbeat = setInterval(() => {
      isHeartbeatDue = true
      wake()
    }, HEARTBEAT).unref()
    const expiry = setTimeout(end, Math.min(expiresAt - Date.now(), LONGEST_TIMER)).unref()
    signal.addEventListener('abort', end)
    streams.ends.add(end)
    const unfollow = follow((event) => {
      next = event
      wake()
    })
    return () => {
      clearInterval(heartbeat)
      clearTimeout(expiry)
      signal.removeEventListener('abort', end)
      streams.ends.delete(end)
      unfollow()
    }
  }
  const end = () => {
    hasEnded = true
    release?.()
    release = undefined
    wake()
  }
  /** The next chunk; undefined if there is none yet. */
  const take = (): string | undefined => {
    if (next) {
      const { version, json, finished } = next
      next = undefined
      if (finished) end()
      return `id: ${version}${finished ? LAST : ''}\ndata: ${json}\n\n`
    }
    if (!isHeartbeatDue) return undefined
    isHeartbeatDue = false
    return ': heartbeat\n\n'
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!release && !hasEnded) {
          if (signal.aborted || streams.isClosed) return controller.close()
          release = begin()
          return controller.enqueue(encoder.encode(RETRY_FIELD))
        }
        let chunk = take()
        while (chunk === undefined && !hasEnded) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
          chunk = take()
        }
        if (chunk !== undefined) controller.enqueue(encoder.encode(chunk))
        if (hasEnded && !isCancelled) controller.close()
      },
      cancel() {
        isCancelled = true
        end()
      },
    },
    { highWaterMark: 0 },
  )
}
