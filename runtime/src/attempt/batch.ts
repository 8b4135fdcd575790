import DataLoader from 'dataloader'

const MAX_BATCH = 200

/**
 * Sends what is asked for at the same time to the database together: while one batch is under way, the next one gathers.
 * One caller at a time pays one statement; fifty at a time pay a few.
 *
 * @param load answers a batch in its order; an Error in it rejects that caller alone
 */
export function microbatch<Request, Answer>(
  load: (requests: readonly Request[]) => Promise<(Answer | Error)[]>,
): (request: Request) => Promise<Answer> {
  let underWay: Promise<unknown> = Promise.resolve()
  const loader = new DataLoader<Request, Answer>(
    (requests) => {
      const answers = load(requests)
      underWay = answers.catch(() => {})
      return answers
    },
    {
      cache: false,
      maxBatchSize: MAX_BATCH,
      batchScheduleFn: (send) => underWay.then(() => setImmediate(send)),
    },
  )
  return (request) => loader.load(request)
}
