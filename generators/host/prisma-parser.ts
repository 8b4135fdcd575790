import { createRequire } from 'node:module'

/** Prisma's own parser of schemas, as WebAssembly. Each function takes and returns JSON. */
export interface SchemaParser {
  validate(input: string): void
  get_config(input: string): string
  get_dmmf(input: string): string
  format(schema: string, options: string): string
}

/** The major versions of Prisma that async-gen supports. The contract of Prisma 8 has no parser here. */
export type PrismaMajor = 6 | 7 | 8

const require = createRequire(import.meta.url)

/**
 * The parser of a major version. They differ: the datasource needs a `url` in Prisma 6, and must not have one in Prisma 7. A parser is
 * loaded when it is first needed.
 */
export function parserOf(major: PrismaMajor): SchemaParser {
  return major === 6 ? require('prisma-6-schema-wasm') : require('@prisma/prisma-schema-wasm')
}
