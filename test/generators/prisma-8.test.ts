import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { contractModels } from '../../generators/host/prisma-8/contract-models.js'
import { APP } from '../support/host.js'

const schema = readFileSync(join(APP, 'prisma', 'schema.prisma'), 'utf8')
const contract = contractModels(schema.slice(schema.indexOf('// async-gen:begin')))

describe('our models in a contract of Prisma 8', () => {
  it('contain nothing that only the schema of Prisma 7 has', () => {
    expect(contract).not.toMatch(/@db\.|@updatedAt|@relation|@@index|@@unique|\bDateTime\b|\bJson\b|^enum /m)
    expect(contract).toMatch(/^ {2}status +pg\.enum\(AttemptStatus\) +@default\("pending"\)$/m)
    expect(contract).toMatch(/^ {2}args +Jsonb +@default\(json`\[\]`\)$/m)
    expect(contract).toMatch(/^ {2}afterIds +BigInt\[\]\? +@map\("after_ids"\)$/m)
    expect(contract).toMatch(/^native_enum AttemptStatus \{\n {2}pending = "pending"\n/m)
  })

  it('have all fields but relations, and leave their tables to our migrations', () => {
    const fieldsIn = (text: string) =>
      [...text.matchAll(/^ {2}(\w+) +(?!.*@relation)[A-Zp]\S*/gm)].map(([, name]) => name)
    expect(fieldsIn(contract)).toEqual(fieldsIn(schema.slice(schema.indexOf('// async-gen:begin'))))
    expect(contract.match(/^model /gm)).toHaveLength(9)
    expect(contract.match(/^ {2}@@control\(external\)\n\}/gm)).toHaveLength(9)
  })

  it('name in their comments what they named before', () => {
    const comments = (text: string) => text.match(/^ *\/\/\/.*$/gm)!.filter((line) => !line.includes('end of a batch'))
    expect(comments(contract)).toEqual(comments(schema.slice(schema.indexOf('// async-gen:begin'))))
  })
})
