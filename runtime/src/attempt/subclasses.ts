import type { AttemptRow } from './store.js'
import type { AttemptClass } from './types.js'

/** Modules, or imports of them: `() => [import('../urgent_attempt.js')]`. */
export type SubclassModules = () => readonly (object | Promise<object>)[]

const loaded = new WeakMap<SubclassModules, Map<string, AttemptClass>>()

/** The classes that a class of attempts names as its subclasses, by their names. Their modules are imported at the first use. */
async function subclassesOf(Attempt: AttemptClass): Promise<Map<string, AttemptClass>> {
  const { subclasses, store } = Attempt
  let classes = loaded.get(subclasses)
  if (!classes) {
    const modules = await Promise.all(subclasses())
    const exported = modules.flatMap((module) => (typeof module === 'function' ? [module] : Object.values(module)))
    const ours = exported.filter((each): each is AttemptClass => typeof each === 'function' && each.store === store)
    classes = new Map(ours.filter(isSubclass).map((each) => [each.name, each]))
    loaded.set(subclasses, classes)
  }
  return classes
}

/** Tells of which class a row's attempt is. A row of a class that is not known is one of the class that is asked. */
export async function classes(Attempt: AttemptClass): Promise<(row: AttemptRow) => AttemptClass> {
  const known = await subclassesOf(Attempt)
  return ({ type }) => (type === null || type === Attempt.name ? Attempt : (known.get(type) ?? Attempt))
}

/** The types of the rows that belong to a class: those of itself and its subclasses; undefined for all rows of the table. */
export async function typesOf(Attempt: AttemptClass): Promise<string[] | undefined> {
  if (!isSubclass(Attempt)) return undefined
  const known = [...(await subclassesOf(Attempt)).values()]
  return [Attempt, ...known.filter(({ prototype }) => prototype instanceof Attempt)].map(({ name }) => name)
}

/** Whether a class extends a class that extends what BaseAttempt returned. */
export function isSubclass(Attempt: AttemptClass): boolean {
  return !Object.hasOwn(Attempt, 'store') && !Object.hasOwn(Object.getPrototypeOf(Attempt), 'store')
}

/** The class of the model, which all subclasses extend. */
export function rootOf(Attempt: AttemptClass): AttemptClass {
  return isSubclass(Attempt) ? rootOf(Object.getPrototypeOf(Attempt)) : Attempt
}
