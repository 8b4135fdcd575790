import { hashOf } from '../changes/manifest.js'
import type { Context, Emission } from '../changes/stage.js'
import { UsageError } from '../host/errors.js'
import type { Model } from '../host/prisma-models.js'
import { snakeCase } from './names.js'

/**
 * The migrations with triggers that make toasts stale, one for each source.
 *
 * @param sources `Oat`: a change of an oat makes its own toasts stale. `Topping.oat`: a change of a topping makes the toasts
 * of its oat stale, found by the relation `oat`.
 */
export function invalidation(models: Model[], sources: string[], owner: string): Emission[] {
  return sources.map((source) => {
    const [name = '', relation] = source.split('.')
    const model = modelNamed(models, name, source)
    const { of, columns } =
      relation === undefined ? ownToasts(model) : toastsOfRelation(models, model, relation, source)
    const context: Context = {
      own: relation === undefined,
      suffix: triggerSuffix(model, relation),
      table: [...(model.schema === null ? [] : [model.schema]), model.dbName ?? model.name].map(quoted).join('.'),
      toasts: of.nameInClient ?? of.name[0]!.toLowerCase() + of.name.slice(1),
      key: keyExpression(of, columns, source).replaceAll("'", "''"),
    }
    const migration = `invalidate_${snakeCase(of.name)}_on_${[model.name, relation ?? []].flat().map(snakeCase).join('_')}`
    return { kind: 'migration', owner, name: migration, template: 'install/invalidate.sql', context }
  })
}

/**
 * The end of the names of a source's triggers on a table: `oat`, both for the table "Oat" itself and for a relation of that
 * name in another table. Migrations that have run contain these names, so they never change. PostgreSQL cuts names at 63
 * bytes. A hash then keeps the names for two relations different.
 */
function triggerSuffix(model: Model, relation: string | undefined): string {
  const own = snakeCase(model.name)
  const suffix = relation === undefined ? own : relation === own ? `${own}_${relation}` : relation
  if (Buffer.byteLength(LONGEST_PREFIX + suffix) <= MAX_NAME) return suffix
  const hash = hashOf(suffix).slice(0, 8)
  return `${suffix.slice(0, MAX_NAME - LONGEST_PREFIX.length - hash.length - 1)}_${hash}`
}

const LONGEST_PREFIX = 'toasts_invalidate_on_truncate_'

const MAX_NAME = 63

/** A model whose toasts are invalidated, and the columns of the changed table with its key. */
interface InvalidatedModel {
  of: Model
  columns: string[]
}

function ownToasts(model: Model): InvalidatedModel {
  return { of: model, columns: keyFields(model).map((field) => columnOf(model, field)) }
}

function toastsOfRelation(models: Model[], model: Model, relation: string, source: string): InvalidatedModel {
  const relations = model.fields.filter(({ relationFromFields }) => relationFromFields?.length)
  const field = relations.find(({ name }) => name === relation)
  if (!field) {
    throw new UsageError({
      code: 'RELATION_NOT_FOUND',
      message: `--invalidate-on ${source}: the model ${model.name} has no relation "${relation}" with a foreign key.`,
      remedy: relations.length
        ? `Choose one of these: ${relations.map(({ name }) => `${model.name}.${name}`).join(', ')}`
        : `${model.name} has no such relation. For its own toasts: --invalidate-on ${model.name}`,
    })
  }
  const of = models.find(({ name, nameInClient = name }) => nameInClient === field.type)!
  const columns = keyFields(of).map((key) => {
    const from = field.relationFromFields?.[field.relationToFields?.indexOf(key) ?? -1]
    if (from !== undefined) return columnOf(model, from)
    throw new UsageError({
      code: 'RELATION_NOT_BY_KEY',
      message: `--invalidate-on ${source}: the relation refers to ${field.relationToFields?.join(', ')} of ${of.name}, not to its primary key.`,
      remedy: `Toasts are stored by primary key. Write your own trigger that calls toasts_invalidate('…', keys).`,
    })
  })
  return { of, columns }
}

function modelNamed(models: Model[], name: string, source: string): Model {
  const model = models.find((each) => each.name.toLowerCase() === name.toLowerCase())
  if (model) return model
  throw new UsageError({
    code: 'MODEL_NOT_FOUND',
    message: `--invalidate-on ${source}: the schema has no model "${name}".`,
    remedy: `Choose one of these: ${models.map((each) => each.name).join(', ')}`,
  })
}

function keyFields(model: Model): string[] {
  return model.primaryKey?.fields ?? model.fields.filter(({ isId }) => isId).map(({ name }) => name)
}

/** The types whose JSON is the same in JavaScript and in SQL. */
const KEY_TYPES = ['Int', 'BigInt', 'String', 'Boolean']

/** An SQL expression for the key of a record. It returns the same text as the runtime. */
function keyExpression(of: Model, columns: string[], source: string): string {
  const unsupported = of.fields.find(({ name, kind, type }) => {
    return keyFields(of).includes(name) && kind === 'scalar' && !KEY_TYPES.includes(type)
  })
  if (unsupported || columns.length === 0) {
    throw new UsageError({
      code: 'KEY_TYPE',
      message: unsupported
        ? `--invalidate-on ${source}: the primary key of ${of.name} has the type ${unsupported.type}, which SQL and JavaScript write differently.`
        : `--invalidate-on ${source}: ${of.name} has no primary key.`,
      remedy: `Use a primary key of one of these types: ${KEY_TYPES.join(', ')}.`,
    })
  }
  const quotedColumns = columns.map(quoted)
  return columns.length === 1
    ? `to_jsonb(${quotedColumns[0]})::text`
    : `jsonb_build_array(${quotedColumns.join(', ')})::text`
}

function columnOf(model: Model, field: string): string {
  return model.fields.find(({ name }) => name === field)?.dbName ?? field
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
