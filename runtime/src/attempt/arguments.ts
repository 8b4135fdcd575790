import type { StandardSchemaV1 } from '@standard-schema/spec'
import { InvalidArgumentsError } from '../core/errors.js'

/** Schemas of zod, valibot, arktype or another library with the Standard Schema interface: one for each argument, in their order. */
export type ArgumentSchemas<Args extends readonly unknown[]> = {
  // biome-ignore lint/suspicious/noExplicitAny: a schema may take any input; what it returns has to fit the parameter
  readonly [I in keyof Args]?: StandardSchemaV1<any, Args[I]>
}

/** How many problems one message names. */
const MAX_PROBLEMS = 10

/**
 * Checks the arguments of a call. Arguments without a schema are not checked.
 * @param path the target and the method: `OrderClient.fulfill`
 * @returns what the schemas return: with their defaults, and with coerced values
 * @throws InvalidArgumentsError
 */
export async function checkArguments(
  path: string,
  schemas: ArgumentSchemas<readonly unknown[]>,
  args: readonly unknown[],
): Promise<unknown[]> {
  const checked = await Promise.all(
    Array.from({ length: Math.max(args.length, schemas.length) }, (_, i) => {
      return schemas[i]?.['~standard'].validate(args[i]) ?? { value: args[i] }
    }),
  )
  const problems = checked.flatMap(({ issues = [] }, i) => issues.map((issue) => `args[${i}]${describeIssue(issue)}`))
  if (problems.length > 0) throw new InvalidArgumentsError(path, problems.slice(0, MAX_PROBLEMS))
  const values = checked.map((result) => ('value' in result ? result.value : undefined))
  // Optional arguments that were left out, and that have no default, stay left out.
  while (values.length > args.length && values.at(-1) === undefined) values.pop()
  return values
}

/** `.orderNumber: Expected a number` */
function describeIssue({ path = [], message }: StandardSchemaV1.Issue): string {
  const keys = path.map((segment) => (typeof segment === 'object' ? segment.key : segment))
  return `${keys.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')}: ${message}`
}
