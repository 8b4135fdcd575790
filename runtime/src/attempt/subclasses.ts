import { setPerDatabase } from '../core/per-database.js'
import type { BoundClass } from './binding.js'
import type { AttemptRow } from './row.js'

/** Returns a function that finds the class of a row. A row of an unknown class gets the class that was asked. */
export async function classes<Class extends BoundClass>(
  Attempt: Class,
  others: readonly Class[] = [],
): Promise<(row: AttemptRow) => Class> {
  usedClasses(Attempt.db).add(Attempt)
  const targets = await Attempt.targets()
  return ({ type }) => {
    if (type === null) return Attempt
    const listed = targets.subclassOf(Attempt, type) as Class | undefined
    return listed ?? others.find(({ name }) => name === type) ?? Attempt
  }
}

/** The types of the rows of a class and its subclasses; undefined for all rows of the table. */
export async function typesOf(Attempt: BoundClass): Promise<string[] | undefined> {
  if (!isSubclass(Attempt)) return undefined
  return [...new Set([Attempt.name, ...(await Attempt.targets()).typesOf(Attempt)])]
}

/** The type of the rows that a class records; null for the class of the model. */
export async function typeOf(Attempt: BoundClass): Promise<string | null> {
  return isSubclass(Attempt) ? ((await Attempt.targets()).typeOf(Attempt) ?? Attempt.name) : null
}

/** The class of the model, which all subclasses extend. */
export function rootOf<Class extends BoundClass>(Attempt: Class): Class {
  return isSubclass(Attempt) ? rootOf(Object.getPrototypeOf(Attempt)) : Attempt
}

/** The classes that this process has recorded or read attempts with. */
export const usedClasses = setPerDatabase<BoundClass>()

/** Whether a class extends a class that extends what BaseAttempt returned. */
export function isSubclass(Attempt: BoundClass): boolean {
  return !Object.hasOwn(Attempt, 'store') && !Object.hasOwn(Object.getPrototypeOf(Attempt), 'store')
}
