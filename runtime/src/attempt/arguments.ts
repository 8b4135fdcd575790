import type { StandardSchemaV1 } from '@standard-schema/spec'
import { AsyncGenError, InvalidArgumentsError } from '../core/errors.js'

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
  const problems = checked.flatMap(({ issues }, i) => {
    const texts = issues?.length === 0 ? [': not valid'] : issues?.map(describeIssue)
    return (texts ?? []).map((text) => `args[${i}]${text}`)
  })
  if (problems.length > 0) throw new InvalidArgumentsError(path, problems.slice(0, MAX_PROBLEMS))
  const values = checked.map((result) => ('value' in result ? result.value : undefined))
  // Optional arguments that were left out, and that have no default, stay left out.
  while (values.length > args.length && values.at(-1) === undefined) values.pop()
  return values
}

/**
 * Checks what targets.ts lists, as JavaScript and casts may list anything.
 * @throws AsyncGenError INVALID_OPTION
 */
export function requireSchemas(path: string, schemas: unknown): void {
  const isSchema = (each?: StandardSchemaV1) =>
    each === undefined || typeof each?.['~standard']?.validate === 'function'
  if (Array.isArray(schemas) && schemas.every(isSchema)) return
  throw new AsyncGenError(
    'INVALID_OPTION',
    `schemas[${JSON.stringify(path)}] must be a list of schemas with the Standard Schema interface, one for each argument: [z.string()]. ` +
      'zod has the interface from version 3.24.',
  )
}

/** `.orderNumber: Expected a number` */
function describeIssue({ path = [], message }: StandardSchemaV1.Issue): string {
  const keys = path.map((segment) => (typeof segment === 'object' ? segment.key : segment))
  return `${keys.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')}: ${message}`
}
