import DataLoader from 'dataloader'

const MAX_BATCH = 200
const LANES = 2

/**
 * Sends what is asked for at the same time to the database together. Requests take turns on two lanes: while a lane's batch is
 * under way its next one gathers, and while one lane waits for PostgreSQL the process has the other one's calls to make. One
 * caller at a time pays one statement; fifty at a time pay a few.
 *
 * @param load answers a batch in its order; an Error in it rejects that caller alone
 */
export function microbatch<Request, Answer>(load: Load<Request, Answer>): (request: Request) => Promise<Answer> {
  const lanes = Array.from({ length: LANES }, () => lane(load))
  let turn = 0
  return (request) => {
    turn = (turn + 1) % LANES
    return lanes[turn]!.load(request)
  }
}

type Load<Request, Answer> = (requests: readonly Request[]) => Promise<(Answer | Error)[]>

function lane<Request, Answer>(load: Load<Request, Answer>): DataLoader<Request, Answer> {
  let underWay: Promise<unknown> = Promise.resolve()
  return new DataLoader<Request, Answer>(
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
}
