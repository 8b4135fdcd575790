import { parserOf } from './prisma-parser.js'
import type { PrismaSchema } from './prisma-schema.js'

/** A model of the host's schema, from Prisma's parser, or of its contract. */
export interface Model {
  name: string
  /** With Prisma 8, its name in the client: `billing.Invoice`. */
  nameInClient?: string
  /** The name of its table, if it differs from the model's name. */
  dbName: string | null
  /** The name in `@@schema`. */
  schema: string | null
  fields: Field[]
  /** The fields of a composite key. A key of one field has `isId`. */
  primaryKey: { fields: string[] } | null
}

interface Field {
  name: string
  dbName?: string
  kind: string
  type: string
  isId: boolean
  /** For a relation whose foreign key is in this model: the fields of the key, and those of the other model. */
  relationFromFields?: string[]
  relationToFields?: string[]
}

/** The models of a schema of Prisma 6 or 7. */
export function modelsOf({ files, major }: Pick<PrismaSchema, 'files' | 'major'>): Model[] {
  const input = { prismaSchema: files.map(({ path, text }) => [path, text]), noColor: true }
  return JSON.parse(parserOf(major).get_dmmf(JSON.stringify(input))).datamodel.models
}
