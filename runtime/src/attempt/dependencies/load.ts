import type { BoundClass } from '../binding.js'
import type { AttemptFields } from '../fields.js'
import type { AttemptRow } from '../row.js'
import { classes, rootOf } from '../subclasses.js'
import type { TargetList } from '../targets.js'

/** The attempts that a call has waited for. */
export class LoadedPredecessors<Attempt = AttemptFields> {
  /** In the order given. Null for those that were deleted. */
  readonly attempts: readonly (Attempt | null)[]
  readonly #targets: TargetList

  constructor(attempts: readonly (Attempt | null)[], targets: TargetList) {
    this.attempts = attempts
    this.#targets = targets
  }

  /** What those returned that called a method, also under an older name. */
  resultsOf(target: object, method: string): unknown[] {
    const path = `${this.#targets.nameOf(target)}.${method}`
    return this.attempts.flatMap((attempt) => {
      const found = attempt as AttemptFields | null
      return found && this.#targets.pathOf(found.target, found.method) === path ? [found.result] : []
    })
  }
}

/** Reads the attempts that one waits for. */
export async function loadPredecessors<Attempt extends AttemptFields>(
  attempt: Attempt,
): Promise<LoadedPredecessors<Attempt>> {
  const Attempt = rootOf(attempt.constructor as unknown as BoundClass)
  const [rows, classOf, targets] = await Promise.all([
    Attempt.store.dependencies.find(attempt.afterIds),
    classes(Attempt),
    Attempt.targets(),
  ])
  return new LoadedPredecessors(
    rows.map((row) => (row ? instance<Attempt>(classOf(row), row) : null)),
    targets,
  )
}

function instance<Attempt>(Attempt: BoundClass, row: AttemptRow): Attempt {
  return new (Attempt as unknown as new (row: AttemptRow) => Attempt)(row)
}
