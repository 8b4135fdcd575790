import type { AttemptRow } from './store.js'
import type { AttemptClass } from './types.js'

/** Tells of which class a row's attempt is. A row of a class that is not known is one of the class that is asked. */
export async function classes(
  Attempt: AttemptClass,
  others: readonly AttemptClass[] = [],
): Promise<(row: AttemptRow) => AttemptClass> {
  const targets = await Attempt.targets()
  return ({ type }) => {
    if (type === null) return Attempt
    const listed = targets.subclassOf(Attempt, type) as AttemptClass | undefined
    return listed ?? others.find(({ name }) => name === type) ?? Attempt
  }
}

/** The types of the rows that belong to a class: those of itself and its subclasses; undefined for all rows of the table. */
export async function typesOf(Attempt: AttemptClass): Promise<string[] | undefined> {
  if (!isSubclass(Attempt)) return undefined
  return [Attempt.name, ...(await Attempt.targets()).typesOf(Attempt)]
}

/** The type of the rows that a class records. */
export async function typeOf(Attempt: AttemptClass): Promise<string | null> {
  return isSubclass(Attempt) ? ((await Attempt.targets()).typeOf(Attempt) ?? Attempt.name) : null
}

/** Whether a class extends a class that extends what BaseAttempt returned. */
function isSubclass(Attempt: AttemptClass): boolean {
  return !Object.hasOwn(Attempt, 'store') && !Object.hasOwn(Object.getPrototypeOf(Attempt), 'store')
}

/** The class of the model, which all subclasses extend. */
export function rootOf(Attempt: AttemptClass): AttemptClass {
  return isSubclass(Attempt) ? rootOf(Object.getPrototypeOf(Attempt)) : Attempt
}
