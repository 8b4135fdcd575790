/** How a batch is answered. */
export interface Batching<Request, Answer> {
  /** Answers a batch in its order; what it has no answer to is asked for alone. */
  together(requests: readonly Request[]): Promise<(Answer | undefined)[]>
  alone(request: Request): Promise<Answer>
}

interface Waiting<Request, Answer> {
  request: Request
  resolve(answer: Answer | Promise<Answer>): void
}

/** How many batches may be under way: while PostgreSQL has the one, this process makes the calls of the other. */
const LANES = 2

/** How many requests are worth a statement of their own while there is another one under way. */
const ENOUGH = 25

const MAX_BATCH = 200

/**
 * Sends what is asked for at the same time to the database together: while a batch is under way, the next one gathers.
 * One caller at a time pays one statement; fifty at a time pay a few. What makes a batch fail, or has to wait for somebody, keeps
 * none of the others: it is asked for alone.
 */
export function microbatch<Request, Answer>({
  together,
  alone,
}: Batching<Request, Answer>): (request: Request) => Promise<Answer> {
  const waiting: Waiting<Request, Answer>[] = []
  let underWay = 0
  let isScheduled = false

  const schedule = () => {
    if (isScheduled) return
    isScheduled = true
    setImmediate(() => {
      isScheduled = false
      while (waiting.length > 0 && (underWay === 0 || (underWay < LANES && waiting.length >= ENOUGH))) {
        const share = Math.ceil(waiting.length / (LANES - underWay))
        send(waiting.splice(0, Math.min(MAX_BATCH, Math.max(ENOUGH, share))))
      }
    })
  }
  const send = async (batch: Waiting<Request, Answer>[]) => {
    underWay++
    const answers = await together(batch.map(({ request }) => request)).catch((): undefined[] => [])
    underWay--
    schedule()
    for (const [i, { request, resolve }] of batch.entries()) resolve(answers[i] ?? alone(request))
  }
  return (request) =>
    new Promise((resolve) => {
      waiting.push({ request, resolve })
      schedule()
    })
}
