import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

/** How many polls in a row may be missing, and for how many seconds at least: until the worker is not ready, and until its runner ends. */
const MISSING_POLLS = { unready: { polls: 2, seconds: 5 }, end: { polls: 5, seconds: 15 } }

/** For how many seconds a poll may wait for the database: for a lock, or for a statement that is tried again. */
const WAITING = 45

/** How often to look for due jobs that are not fetched, and for jobs that were locked and not received. In seconds. */
const LOOK_EVERY = { due: 15, locked: 30 }

/** After how many seconds due jobs that are not fetched end a runner whose other slots are busy. */
const DUE_AT_LAST = 600

export interface WatchdogOptions {
  /** Milliseconds. */
  pollInterval: number
  /** The names of the tasks that the runner takes. */
  tasks: string[]
  runningJobs: () => ReadonlySet<{ id: string }>
  /** Whether a slot is free, so that the runner should poll. */
  canPoll: () => boolean
  /** Whether the runner waits for an answer of the database. */
  isWaiting: () => boolean
  /** Called once, with what is wrong: the runner has to be ended. */
  onProblem: (reason: string) => void
}

/**
 * Watches from inside the worker that Graphile Worker takes work. It reports a runner whose polls have stopped, that leaves due jobs in
 * the queue while slots are free, or that has locked jobs and does not know of them (the answer to its fetch was lost).
 *
 * Seconds are counted by a timer, so that a process that was busy or frozen does not blame its runner.
 */
export class Watchdog {
  readonly #db: Database
  readonly #options: WatchdogOptions
  readonly #prefetched = new Set<string>()
  #poolId: string | undefined
  #timer: NodeJS.Timeout | undefined
  #hasPolled = false
  #secondsSincePoll = 0
  /** Whether a job has started since the last look for due jobs. */
  #hasStartedJob = false
  /** Since how many seconds due jobs have been seen and not fetched. */
  #dueFor = 0
  /** The jobs that were locked and unknown at the last look. */
  #unknown = new Set<string>()

  constructor(db: Database, options: WatchdogOptions) {
    this.#db = db
    this.#options = options
  }

  /** Seconds for which the runner could have polled, and no poll has succeeded. 0 while all slots are busy. */
  get secondsSincePoll(): number {
    return this.#secondsSincePoll
  }

  /** Whether a poll has ever succeeded. */
  get hasPolled(): boolean {
    return this.#hasPolled
  }

  /** What is wrong at the moment; undefined where work is taken. */
  get problem(): string | undefined {
    if (!this.#hasPolled) return 'no poll for jobs has succeeded yet'
    return this.#secondsSincePoll >= this.#secondsOf(MISSING_POLLS.unready) ? this.#missingPolls : undefined
  }

  start(): void {
    let seconds = 0
    this.#timer = setInterval(() => {
      seconds++
      this.#secondsSincePoll = this.#options.canPoll() ? this.#secondsSincePoll + 1 : 0
      const limit = this.#options.isWaiting() ? WAITING : this.#secondsOf(MISSING_POLLS.end)
      if (this.#secondsSincePoll >= limit) return this.#report(this.#missingPolls)
      if (seconds % LOOK_EVERY.locked === 0) this.#look(() => this.#lookForUnknownJobs())
      if (seconds % LOOK_EVERY.due === 0) this.#look(() => this.#lookForDueJobs())
    }, 1000).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** The runner has made its pool, by whose id its jobs are locked. */
  poolCreated(id: string): void {
    this.#poolId = id
  }

  /** A poll for jobs has succeeded. */
  polled(): void {
    this.#hasPolled = true
    this.#secondsSincePoll = 0
  }

  /** The runner has fetched these jobs ahead. */
  prefetched(jobs: readonly { id: string }[]): void {
    for (const { id } of jobs) this.#prefetched.add(id)
  }

  /** The runner has returned these jobs, which it had fetched ahead. */
  returned(jobs: readonly { id: string }[]): void {
    for (const { id } of jobs) this.#prefetched.delete(id)
  }

  jobStarted({ id }: { id: string }): void {
    this.#hasStartedJob = true
    this.#prefetched.delete(id)
  }

  #secondsOf({ polls, seconds }: { polls: number; seconds: number }): number {
    return Math.max(seconds, Math.ceil((polls * this.#options.pollInterval) / 1000))
  }

  get #missingPolls(): string {
    return `no poll for jobs has succeeded for ${this.#secondsSincePoll} s`
  }

  #report(reason: string): void {
    this.stop()
    this.#options.onProblem(reason)
  }

  /** A look that fails or waits says nothing about the runner: the polls notice that the database does not answer. */
  #look(look: () => Promise<void>): void {
    look().catch(() => {})
  }

  async #lookForDueJobs(): Promise<void> {
    const { tasks, canPoll, runningJobs } = this.#options
    const isIdle = canPoll() && !this.#hasStartedJob
    this.#hasStartedJob = false
    const isDue = isIdle && (await this.#db.query(findDueJob, [tasks])).length > 0
    this.#dueFor = isDue ? this.#dueFor + LOOK_EVERY.due : 0
    // Somebody may have locked the rows of these jobs. Where nothing runs, another runner costs nothing.
    const enough = runningJobs().size === 0 ? 2 * LOOK_EVERY.due : DUE_AT_LAST
    if (this.#dueFor >= enough) this.#report('due jobs were not fetched although slots are free')
  }

  async #lookForUnknownJobs(): Promise<void> {
    const locked = await this.#db.query<{ id: string }>(findLockedJobs, [this.#poolId])
    const known = new Set([...this.#prefetched, ...[...this.#options.runningJobs()].map(({ id }) => id)])
    const unknown = locked.map(({ id }) => id).filter((id) => !known.has(id))
    // Twice in a row: the end of one may be on its way to the database.
    const forgotten = unknown.filter((id) => this.#unknown.has(id))
    this.#unknown = new Set(unknown)
    if (forgotten.length > 0) this.#report(`${forgotten.length} jobs were locked by this worker and never received`)
  }
}

const findDueJob: Statement = {
  name: 'async-gen:find-due-job',
  text: `
    SELECT FROM graphile_worker.jobs
    WHERE task_identifier = ANY ($1::text[]) AND queue_name IS NULL AND locked_at IS NULL
      AND attempts < max_attempts AND run_at < now() - interval '15 seconds'
    LIMIT 1`,
}

const findLockedJobs: Statement = {
  name: 'async-gen:find-locked-jobs',
  text: `
    SELECT id::text FROM graphile_worker.jobs
    WHERE locked_by = $1 AND locked_at < now() - interval '1 minute'`,
}
