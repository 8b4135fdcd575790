import { readText } from '../../host/files.js'
import type { Host } from '../../host/inspect.js'
import { installedVersion } from '../../host/installed-package.js'
import { TESTED_ORM_POSTGRES, TESTED_PRISMA_8 } from '../../host/prisma-8/versions.js'
import type { Finding } from './finding.js'

/** What Prisma 8, and Prisma 7 beside it, mean for a host. */
export function prisma8Findings({ root, prisma, emitContract }: Host): Finding[] {
  const where = 'package.json'
  const eight = installedVersion(root, 'prisma')
  if (prisma.command === 'prisma7') {
    return [
      {
        severity: 'note',
        code: 'PRISMA_7_BESIDE_8',
        message: `Prisma ${prisma.version} (@prisma/prisma7) owns the schema and its migrations, beside prisma ${eight}.`,
        where,
        remedy: 'Connect the runtime to the client of Prisma 7. Run `npx prisma contract emit` after its migrations.',
      },
    ]
  }
  if (!emitContract) return []
  const tested = `prisma@${TESTED_PRISMA_8} @prisma/orm-postgres@${TESTED_ORM_POSTGRES}`
  const ormPostgres = installedVersion(root, '@prisma/orm-postgres')
  const isTested = eight === TESTED_PRISMA_8 && ormPostgres === TESTED_ORM_POSTGRES
  return [
    {
      severity: 'note',
      code: 'PRISMA_8_PREVIEW',
      message: 'async-gen supports Prisma 8 as a preview.',
      where,
      remedy: 'Read in docs/prisma.md of async-gen, "Preview: Prisma 8", what does not work yet.',
    },
    ...(isTested
      ? []
      : [
          {
            severity: 'warning' as const,
            code: 'PRISMA_8_UNTESTED',
            message: `prisma ${eight} and @prisma/orm-postgres ${ormPostgres} are installed. The preview is tested with other versions.`,
            where,
            remedy: `npm install --save-exact ${tested}`,
          },
        ]),
  ]
}

/** Whether `contract.json`, which the client loads, is that of the contract. */
export async function outdatedContract({ root, schema, emitContract, emittedContract }: Host): Promise<Finding[]> {
  if (!emitContract || emittedContract === null) return []
  const { hash } = await emitContract(schema.files[0]!.text)
  const json = readText(root, emittedContract)
  const emitted = json === null ? null : (JSON.parse(json) as { storage?: { storageHash?: string } })
  if (emitted?.storage?.storageHash === hash) return []
  return [
    {
      severity: 'error',
      code: 'CONTRACT_OUTDATED',
      message: `${emittedContract} ${json === null ? 'does not exist' : 'was emitted from another contract'}. The client loads it.`,
      where: schema.path,
      remedy: 'npx prisma contract emit',
    },
  ]
}
