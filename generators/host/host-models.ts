import { HostError } from './errors.js'
import { readText } from './files.js'
import type { Host } from './inspect.js'
import { modelsOfContract } from './prisma-8/models-of-contract.js'
import { type Model, modelsOf } from './prisma-models.js'

/**
 * The models of a host, in its schema or its contract.
 * @throws HostError CONTRACT_NOT_EMITTED with Prisma 8
 */
export function modelsOfHost({ root, schema, emittedContract }: Host): Model[] {
  if (emittedContract === null) return modelsOf(schema)
  const json = readText(root, emittedContract)
  if (json !== null) return modelsOfContract(json)
  throw new HostError({
    code: 'CONTRACT_NOT_EMITTED',
    message: `${emittedContract} does not exist. Prisma writes it from ${schema.path}.`,
    where: emittedContract,
    remedy: 'npx prisma contract emit',
  })
}
