import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { invalidation } from '../../generators/definitions/invalidation.js'
import { Prisma8Clients } from '../../generators/host/prisma-8/clients.js'
import { contractModels } from '../../generators/host/prisma-8/contract-models.js'
import { modelsOfContract } from '../../generators/host/prisma-8/models-of-contract.js'
import { recordMigrations } from '../../generators/host/prisma-8/recorded-migrations.js'
import { SourceModules } from '../../generators/host/source-modules.js'
import { APP } from '../support/host.js'
import { sampleHost } from './sample-host.js'

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

describe('the client of Prisma 8 is found', () => {
  const IMPORT = "import postgres from '@prisma/orm-postgres/runtime'\n"

  it.each([
    ['as a constant', 'export const db = postgres<Contract>({ contractJson, url })', ['db']],
    ['as the default', 'export default postgres({ contractJson, url })', ['default']],
    [
      'exported on a line of its own',
      'const db = postgres<Contract>({ contractJson })\nexport default db\n',
      ['default'],
    ],
    ['under another name', 'const client = postgres({ contractJson })\nexport { client as db }\n', ['db']],
    ['kept for a development server', 'export const db = globalThis.db ?? postgres({ contractJson })', ['db']],
    ['after a line break', 'export const db: Client =\n  postgres({ contractJson })', ['db']],
    ['not in a function', 'export const makeDb = () => postgres({ contractJson })', []],
    ['not in a constant that is not exported', 'const db = postgres({ contractJson })', []],
    ['not in what uses one', 'export const postgresUrl = process.env.URL', []],
  ])('%s', async (_, code, names) => {
    const { root } = sampleHost({ 'src/db.ts': `${IMPORT}${code}` })
    const clients = new Prisma8Clients(await SourceModules.of({ root, modules: { resolvePath: () => [] } }))
    expect(clients.exportsOf('src/db.ts').map(({ name }) => name)).toEqual(names)
  })
})

describe('the models of an emitted contract', () => {
  const table = (columns: string[], keys: string[][] = []) => {
    return { primaryKey: { columns }, foreignKeys: keys.map((key) => ({ source: { columns: key } })) }
  }
  const scalar = (codecId: string) => ({ type: { kind: 'scalar', codecId } })
  const models = modelsOfContract(
    JSON.stringify({
      domain: {
        namespaces: {
          public: {
            models: {
              Order: {
                fields: { id: scalar('pg/int8@1'), customerId: scalar('pg/int4@1') },
                relations: {
                  customer: {
                    to: { namespace: 'crm', model: 'Customer' },
                    on: { localFields: ['customerId'], targetFields: ['id'] },
                  },
                },
                storage: { table: 'orders', fields: { id: { column: 'id' }, customerId: { column: 'customer_id' } } },
              },
            },
          },
          crm: {
            models: {
              Customer: {
                fields: { id: scalar('pg/int4@1'), price: scalar('pg/numeric@1') },
                relations: {
                  orders: {
                    to: { namespace: 'public', model: 'Order' },
                    on: { localFields: ['id'], targetFields: ['customerId'] },
                  },
                },
                storage: { table: 'Customer', fields: { id: { column: 'customer id' }, price: { column: 'price' } } },
              },
            },
          },
        },
      },
      storage: {
        namespaces: {
          public: { entries: { table: { orders: table(['id'], [['customer_id']]) } } },
          crm: { entries: { table: { Customer: table(['customer id']) } } },
        },
      },
    }),
  )

  it('have their tables, schemas, keys and types, and the names that the runtime takes', () => {
    expect(models).toMatchObject([
      { name: 'Order', nameInClient: 'Order', dbName: 'orders', schema: null, primaryKey: { fields: ['id'] } },
      {
        name: 'Customer',
        nameInClient: 'crm.Customer',
        dbName: 'Customer',
        schema: 'crm',
        primaryKey: { fields: ['id'] },
      },
    ])
    expect(models[1]!.fields.slice(0, 2)).toMatchObject([
      { name: 'id', dbName: 'customer id', type: 'Int' },
      { name: 'price', type: 'numeric' },
    ])
  })

  it('have the foreign key of a relation on its own side only', () => {
    const relations = models.flatMap(({ fields }) => fields.filter(({ kind }) => kind === 'object'))
    expect(relations).toMatchObject([
      { name: 'customer', type: 'crm.Customer', relationFromFields: ['customerId'], relationToFields: ['id'] },
      { name: 'orders', type: 'Order' },
    ])
    expect(relations[1]).not.toHaveProperty('relationFromFields')
  })

  it('give --invalidate-on a trigger for the toasts of a model in another schema', () => {
    const [migration] = invalidation(models, ['Order.customer'], 'install')
    expect(migration).toMatchObject({
      name: 'invalidate_customer_on_order_customer',
      context: { table: '"orders"', toasts: 'crm.Customer', key: 'to_jsonb("customer_id")::text' },
    })
  })
})

describe('the migrations that change no model', () => {
  it('stand in one enum of the contract, each once', () => {
    const first = recordMigrations('// use prisma-8\n\nmodel X {\n  id Int @id\n}\n', ['one', 'two'])
    const second = recordMigrations(first, ['two', 'three'])
    expect(second).toContain(
      `enum AsyncGenMigration {\n  one = "one"\n  two = "two"\n  three = "three"\n\n  @@type("pg/text@1")\n}`,
    )
    expect(second.match(/enum /g)).toHaveLength(1)
  })
})
