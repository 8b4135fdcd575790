// Not the global function, which fake timers of a test replace.
import { setImmediate } from 'node:timers'

/** How the requests of a batch are answered. */
export interface Batching<Request, Answer> {
  /** Answers a batch, in its order. A request whose answer is undefined is sent again, alone. */
  together(requests: readonly Request[]): Promise<(Answer | undefined)[]>
  alone(request: Request): Promise<Answer>
}

interface WaitingRequest<Request, Answer> {
  request: Request
  resolve(answer: Answer | Promise<Answer>): void
}

/** How many batches may run at the same time: while PostgreSQL works on one, this process runs the calls of the other. */
const MAX_RUNNING = 2

/** How many requests justify a second batch while the first is running. */
const MIN_SECOND_BATCH = 25

const MAX_BATCH = 200

/**
 * Collects requests that arrive at the same time and sends them to the database together: while a batch is running, the next one
 * fills. A single caller pays one statement; fifty callers pay a few. If a batch fails, or has no answer for a request, that request is
 * sent alone, so that it does not fail or delay the others.
 */
export function microbatch<Request, Answer>({
  together,
  alone,
}: Batching<Request, Answer>): (request: Request) => Promise<Answer> {
  const waiting: WaitingRequest<Request, Answer>[] = []
  let running = 0
  let isScheduled = false

  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    setImmediate(() => {
      isScheduled = false
      while (waiting.length > 0 && (running === 0 || (running < MAX_RUNNING && waiting.length >= MIN_SECOND_BATCH))) {
        const share = Math.ceil(waiting.length / (MAX_RUNNING - running))
        send(waiting.splice(0, Math.min(MAX_BATCH, Math.max(MIN_SECOND_BATCH, share))))
      }
    })
  }
  const send = async (batch: WaitingRequest<Request, Answer>[]) => {
    running++
    const answers = await together(batch.map(({ request }) => request)).catch((): undefined[] => [])
    running--
    schedule()
    for (const [i, { request, resolve }] of batch.entries()) resolve(answers[i] ?? alone(request))
  }
  return (request) =>
    new Promise((resolve) => {
      waiting.push({ request, resolve })
      schedule()
    })
}
