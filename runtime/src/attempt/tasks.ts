import type { Task } from 'graphile-worker'
import { AsyncGenError } from '../core/errors.js'
import { idOf } from '../core/id.js'
import { instrumentsItself } from '../telemetry/instrument.js'
import type { AttemptClass } from './types.js'

/**
 * The Graphile Worker task that performs one attempt; its payload is `{ id }`. It always resolves: what fails is recorded in the
 * row, and tried again from there. A second job for the same attempt finds nothing to do.
 *
 * @param subclasses classes that extend it and that `defineTargets` does not list
 */
export function attemptTask(Attempt: AttemptClass, subclasses: readonly AttemptClass[] = []): Task {
  const task = instrumentsItself<Task>(async (payload, { logger, abortSignal, job }) => {
    const id = idOf((payload as { id?: unknown } | null)?.id, `The job of ${job.task_identifier}: its attempt`)
    const attempt = await Attempt.perform(id, { signal: abortSignal, subclasses })
    if (!attempt) logger.debug(`${job.task_identifier} ${id} is not pending or not due: nothing to do`)
  })
  attemptsOf.set(task, Attempt)
  return task
}

const attemptsOf = new WeakMap<object, AttemptClass>()

/**
 * Loads the targets of these tasks, so that a worker whose list cannot be loaded ends when it starts.
 * @throws AsyncGenError INVALID_TARGET, and what the host's modules throw
 */
export async function checkTargets(tasks: readonly object[]): Promise<void> {
  for (const task of tasks) {
    const targets = await attemptsOf.get(task)?.targets()
    targets?.check()
  }
}

/** The Graphile Worker task that gives a job to every attempt that is due and has none. */
export function attemptBatchTask(Attempt: AttemptClass): Task {
  return async (_payload, { logger }) => {
    const enqueued = await Attempt.store.enqueueDue()
    logger.info(`${enqueued} due attempts enqueued`)
  }
}

/**
 * The Graphile Worker task that re-encrypts all attempts with the first key, after a new one was put there. It fails, and is tried
 * again by Graphile Worker, for as long as older keys are still needed.
 */
export function reencryptTask(Attempt: AttemptClass): Task {
  return async (_payload, { logger }) => {
    const { done, left } = await Attempt.reencrypt()
    logger.info(`${done} attempts re-encrypted, ${left} left`)
    if (left === 0) return
    throw new AsyncGenError(
      'REENCRYPTION_INCOMPLETE',
      `${left} attempts are encrypted with an older key still: they were running, or do not decrypt. Keep that key until a later try succeeds.`,
    )
  }
}
