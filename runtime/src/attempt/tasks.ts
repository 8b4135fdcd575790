import type { Task } from 'graphile-worker'
import { AsyncGenError } from '../core/errors.js'
import { rowIdOf } from '../core/row-id.js'
import { instrumentsItself } from '../telemetry/instrument.js'
import type { AttemptClass } from './attempt.js'

/**
 * The Graphile Worker task that performs one attempt. Its payload is `{ id }`, with a `limitKey` if the call has a limit. It always resolves: errors are recorded in the row, and
 * the row decides about retries. A second job for the same attempt finds nothing to do.
 *
 * @param subclasses classes that extend it and that `defineTargets` does not list
 */
export function attemptTask(Attempt: AttemptClass, subclasses: readonly AttemptClass[] = []): Task {
  const task = instrumentsItself<Task>(async (payload, { logger, abortSignal, job }) => {
    const { id: given, limitKey } = (payload ?? {}) as { id?: unknown; limitKey?: string }
    const id = rowIdOf(given, `A job of the task ${job.task_identifier}`)
    const attempt = await Attempt.perform(id, {
      signal: abortSignal,
      subclasses,
      job: { limitKey, enqueuesNext: true },
    })
    if (!attempt) logger.debug(`${job.task_identifier} ${id} is not pending, not due or paused: nothing to do`)
  })
  attemptsOf.set(task, Attempt)
  return task
}

const attemptsOf = new WeakMap<object, AttemptClass>()

/**
 * Loads the targets of these tasks, so that a worker with an invalid list ends when it starts.
 * @throws AsyncGenError INVALID_TARGET, and what the host's modules throw
 */
export async function checkTargets(tasks: readonly object[]): Promise<void> {
  for (const task of tasks) {
    const targets = await attemptsOf.get(task)?.targets()
    targets?.check()
  }
}

/** The Graphile Worker task that enqueues each attempt that is due and has no job. */
export function attemptBatchTask(Attempt: AttemptClass): Task {
  return async (_payload, { logger }) => {
    const enqueued = (await Attempt.store.enqueueResumed()) + (await Attempt.store.enqueueDue())
    logger.info(`${enqueued} due attempts enqueued`)
  }
}

/**
 * The Graphile Worker task that re-encrypts all attempts with the current key. It fails, so that Graphile Worker tries it again, while
 * rows remain that need an older key.
 */
export function reencryptTask(Attempt: AttemptClass): Task {
  return async (_payload, { logger }) => {
    const { done, left } = await Attempt.reencrypt()
    logger.info(`${done} attempts re-encrypted, ${left} left`)
    if (left === 0) return
    throw new AsyncGenError(
      'REENCRYPTION_INCOMPLETE',
      `${left} attempts still need an older key: they are running, or do not decrypt. Keep that key until a later try succeeds.`,
    )
  }
}
