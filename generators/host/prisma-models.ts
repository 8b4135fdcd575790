import { get_dmmf } from '@prisma/prisma-schema-wasm'
import type { SchemaFile } from './prisma-schema.js'

/** A model of the host's schema, as Prisma's parser tells it. */
export interface Model {
  name: string
  /** What the database calls its table, where that is another name. */
  dbName: string | null
  /** The database schema that it is in, where the Prisma schema says so. */
  schema: string | null
  fields: Field[]
  /** Of a composite key; a single field says `isId`. */
  primaryKey: { fields: string[] } | null
}

interface Field {
  name: string
  dbName?: string
  kind: string
  type: string
  isId: boolean
  /** Of a relation that this model holds the foreign key of: its fields, and those of the other model that they name. */
  relationFromFields?: string[]
  relationToFields?: string[]
}

export function modelsOf(files: SchemaFile[]): Model[] {
  const input = { prismaSchema: files.map(({ path, text }) => [path, text]), noColor: true }
  return JSON.parse(get_dmmf(JSON.stringify(input))).datamodel.models
}
