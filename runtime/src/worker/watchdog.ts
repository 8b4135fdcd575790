import type { Database } from '../core/database.js'
import type { Statement } from '../core/statement.js'

/**
 * The worker is not ready, or its runner is ended, after this many polls are missing, and at least this many seconds have passed.
 */
const MISSING_POLLS = { unready: { polls: 2, seconds: 5 }, end: { polls: 5, seconds: 15 } }

/** How long a poll may wait for the database, in seconds: for a lock, or for a statement that is tried again. */
const DATABASE_TIMEOUT = 45

/** How often to check for due jobs that are not fetched, and for locked jobs that were not received. Seconds. */
const CHECK_INTERVAL = { due: 15, locked: 30 }

/** A runner with busy slots is ended if due jobs are not fetched for this long. Seconds. */
const BUSY_DUE_TIMEOUT = 600

export interface WatchdogOptions {
  /** Milliseconds. */
  pollInterval: number
  /** The names of the tasks that the runner processes. */
  tasks: string[]
  runningJobs: () => ReadonlySet<{ id: string }>
  /** Whether a slot is free, so that the runner should poll. */
  canPoll: () => boolean
  /** Whether the runner waits for an answer from the database. */
  isWaiting: () => boolean
  /** Called once, with the reason: the runner must be ended. */
  onProblem: (reason: string) => void
}

/**
 * Checks that Graphile Worker takes jobs. It reports a runner that has stopped polling, that leaves due jobs in the queue while slots are
 * free, or that has locked jobs without receiving them (the answer to its fetch was lost).
 *
 * Seconds are counted by a timer, so that the time in which the whole process was busy or frozen does not count.
 */
export class Watchdog {
  readonly #db: Database
  readonly #options: WatchdogOptions
  readonly #prefetched = new Set<string>()
  #poolId: string | undefined
  #timer: NodeJS.Timeout | undefined
  #hasPolled = false
  #secondsSincePoll = 0
  /** Whether a job has started since the last check for due jobs. */
  #hasStartedJob = false
  /** For how many seconds due jobs have been seen and not fetched. */
  #dueFor = 0
  /** The jobs that were locked and not received at the last check. */
  #unknown = new Set<string>()

  constructor(db: Database, options: WatchdogOptions) {
    this.#db = db
    this.#options = options
  }

  /** Seconds with a free slot and without a successful poll. 0 while all slots are busy. */
  get secondsSincePoll(): number {
    return this.#secondsSincePoll
  }

  /** Whether a poll has ever succeeded. */
  get hasPolled(): boolean {
    return this.#hasPolled
  }

  /** Why no jobs are taken now; undefined if they are. */
  get problem(): string | undefined {
    if (!this.#hasPolled) return 'no poll for jobs has succeeded yet'
    return this.#secondsSincePoll >= this.#secondsOf(MISSING_POLLS.unready) ? this.#missingPolls : undefined
  }

  start(): void {
    let seconds = 0
    this.#timer = setInterval(() => {
      seconds++
      this.#secondsSincePoll = this.#options.canPoll() ? this.#secondsSincePoll + 1 : 0
      const limit = this.#options.isWaiting() ? DATABASE_TIMEOUT : this.#secondsOf(MISSING_POLLS.end)
      if (this.#secondsSincePoll >= limit) return this.#report(this.#missingPolls)
      if (seconds % CHECK_INTERVAL.locked === 0) this.#check(() => this.#checkUnknownJobs())
      if (seconds % CHECK_INTERVAL.due === 0) this.#check(() => this.#checkDueJobs())
    }, 1000).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** The runner has created its worker pool, whose id is in the lock of its jobs. */
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

  /** A failed check says nothing about the runner: missing polls show that the database does not answer. */
  #check(check: () => Promise<void>): void {
    check().catch(() => {})
  }

  async #checkDueJobs(): Promise<void> {
    const { tasks, canPoll, runningJobs } = this.#options
    const isIdle = canPoll() && !this.#hasStartedJob
    this.#hasStartedJob = false
    const isDue = isIdle && (await this.#db.query(findDueJob, [tasks])).length > 0
    this.#dueFor = isDue ? this.#dueFor + CHECK_INTERVAL.due : 0
    // Another transaction may have locked the rows of these jobs. If no job runs, a new runner costs nothing.
    const timeout = runningJobs().size === 0 ? 2 * CHECK_INTERVAL.due : BUSY_DUE_TIMEOUT
    if (this.#dueFor >= timeout) this.#report('due jobs were not fetched although slots are free')
  }

  async #checkUnknownJobs(): Promise<void> {
    const locked = await this.#db.query<{ id: string }>(findLockedJobs, [this.#poolId])
    const known = new Set([...this.#prefetched, ...[...this.#options.runningJobs()].map(({ id }) => id)])
    const unknown = locked.map(({ id }) => id).filter((id) => !known.has(id))
    // Reported at the second check: the statement that completes a job may not have committed at the first.
    const lost = unknown.filter((id) => this.#unknown.has(id))
    this.#unknown = new Set(unknown)
    if (lost.length > 0) this.#report(`${lost.length} jobs were locked by this worker and never received`)
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
