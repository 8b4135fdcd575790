import type { Model } from '../prisma-models.js'

/** The models in the text of an emitted contract, `contract.json`. */
export function modelsOfContract(json: string): Model[] {
  const { domain, storage } = JSON.parse(json) as EmittedContract
  return Object.entries(domain.namespaces).flatMap(([schema, { models = {} }]) =>
    Object.entries(models).map(([name, model]) => {
      const table = storage.namespaces[schema]?.entries.table?.[model.storage.table]
      return {
        name,
        nameInClient: nameInClient(schema, name),
        dbName: model.storage.table,
        schema: schema === 'public' ? null : schema,
        fields: [...scalarsOf(model), ...relationsOf(model, table)],
        primaryKey: table?.primaryKey
          ? { fields: table.primaryKey.columns.map((column) => fieldOf(model, column)) }
          : null,
      }
    }),
  )
}

interface EmittedContract {
  domain: { namespaces: Record<string, { models?: Record<string, ModelDefinition> }> }
  storage: { namespaces: Record<string, { entries: { table?: Record<string, Table> } }> }
}

interface ModelDefinition {
  fields: Record<string, { type: { kind: string; codecId?: string } }>
  relations: Record<
    string,
    { to: { namespace: string; model: string }; on?: { localFields: string[]; targetFields: string[] } }
  >
  storage: { table: string; fields: Record<string, { column: string }> }
}

interface Table {
  primaryKey?: { columns: string[] }
  foreignKeys: { source: { columns: string[] } }[]
}

/** `Order` for a model in the schema `public`, `billing.Invoice` for one in another. The runtime takes these names. */
function nameInClient(schema: string, name: string): string {
  return schema === 'public' ? name : `${schema}.${name}`
}

function scalarsOf({ fields, storage }: ModelDefinition): Model['fields'] {
  return Object.entries(fields).map(([name, { type }]) => ({
    name,
    dbName: storage.fields[name]?.column ?? name,
    kind: 'scalar',
    type: typeOf(type.codecId ?? type.kind),
    isId: false,
  }))
}

function relationsOf(model: ModelDefinition, table: Table | undefined): Model['fields'] {
  return Object.entries(model.relations).map(([name, { to, on }]) => {
    const columns = on?.localFields.map((field) => model.storage.fields[field]?.column ?? field).join()
    const hasKey = table?.foreignKeys.some(({ source }) => source.columns.join() === columns)
    return {
      name,
      kind: 'object',
      type: nameInClient(to.namespace, to.model),
      isId: false,
      ...(hasKey && on && { relationFromFields: on.localFields, relationToFields: on.targetFields }),
    }
  })
}

function fieldOf({ storage }: ModelDefinition, column: string): string {
  return Object.entries(storage.fields).find(([, field]) => field.column === column)?.[0] ?? column
}

/** Prisma 7's names of types. Other types keep the name of their codec, `numeric`. */
const TYPES: Record<string, string> = {
  int2: 'Int',
  int4: 'Int',
  int8number: 'Int',
  int8: 'BigInt',
  text: 'String',
  varchar: 'String',
  char: 'String',
  uuid: 'String',
  bool: 'Boolean',
}

function typeOf(codec: string): string {
  const name = codec.replace(/^\w+\/|@\d+$/g, '')
  return TYPES[name] ?? name
}
