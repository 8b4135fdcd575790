import DataLoader from 'dataloader'

const MAX_BATCH = 200

export interface Batching<Request, Answer> {
  /** Answers a batch in its order; what it has no answer to is asked for alone. */
  together(requests: readonly Request[]): Promise<(Answer | undefined)[]>
  alone(request: Request): Promise<Answer>
}

/**
 * Sends what is asked for at the same time to the database together: while one batch is under way, the next one gathers.
 * One caller at a time pays one statement; fifty at a time pay a few. What makes a batch fail, or has to wait for somebody, keeps
 * none of the others: it is asked for alone.
 */
export function microbatch<Request, Answer>({
  together,
  alone,
}: Batching<Request, Answer>): (request: Request) => Promise<Answer> {
  let underWay: Promise<unknown> = Promise.resolve()
  const loader = new DataLoader<Request, Answer>(
    async (requests) => {
      const batch = together(requests).catch((): undefined[] => [])
      underWay = batch
      const answers = await batch
      return await Promise.all(
        requests.map((request, i) => answers[i] ?? alone(request).catch((error): Error => error)),
      )
    },
    {
      cache: false,
      maxBatchSize: MAX_BATCH,
      batchScheduleFn: (send) => underWay.then(() => setImmediate(send)),
    },
  )
  return (request) => loader.load(request)
}
