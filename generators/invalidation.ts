import { hashOf } from './changes/manifest.js'
import type { Context, Emission } from './changes/stage.js'
import { UsageError } from './host/errors.js'
import type { Model } from './host/prisma-models.js'
import { snakeCase } from './names.js'

/**
 * What makes toasts stale from SQL: a migration of triggers for each source.
 *
 * @param sources `Oat`, for an oat's own toasts when it changes or goes; `Topping.oat`, for the toasts of the oat that a
 * topping's relation `oat` points to
 */
export function invalidation(models: Model[], sources: string[], owner: string): Emission[] {
  return sources.map((source) => {
    const [name = '', relation] = source.split('.')
    const model = modelNamed(models, name, source)
    const { of, columns } = relation === undefined ? own(model) : through(models, model, relation, source)
    const context: Context = {
      own: relation === undefined,
      suffix: triggerSuffix(model, relation),
      table: [...(model.schema === null ? [] : [model.schema]), model.dbName ?? model.name].map(quoted).join('.'),
      toasts: of.name[0]!.toLowerCase() + of.name.slice(1),
      key: keyExpression(of, columns, source).replaceAll("'", "''"),
    }
    const migration = `invalidate_${snakeCase(of.name)}_on_${[model.name, relation ?? []].flat().map(snakeCase).join('_')}`
    return { kind: 'migration', owner, name: migration, template: 'install/invalidate.sql', context }
  })
}

/**
 * What tells the triggers of one source of a table from those of another: `oat`, for the table "Oat" itself and for its relation of that name
 * in another table. Migrations that have run hold these names, so they never change. PostgreSQL cuts names at 63 bytes, after which
 * those of two relations might be the same.
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

/** A model whose toasts are invalidated, and the columns of the changed table that hold its key. */
interface Target {
  of: Model
  columns: string[]
}

function own(model: Model): Target {
  return { of: model, columns: keyOf(model).map((field) => columnOf(model, field)) }
}

function through(models: Model[], model: Model, relation: string, source: string): Target {
  const relations = model.fields.filter(({ relationFromFields }) => relationFromFields?.length)
  const field = relations.find(({ name }) => name === relation)
  if (!field) {
    throw new UsageError({
      code: 'RELATION_NOT_FOUND',
      message: `--invalidate-on ${source}: ${model.name} has no relation "${relation}" that it holds the key of.`,
      remedy: relations.length
        ? `Name one of its own: ${relations.map(({ name }) => `${model.name}.${name}`).join(', ')}`
        : `It has none. For its own toasts: --invalidate-on ${model.name}`,
    })
  }
  const of = models.find(({ name }) => name === field.type)!
  const columns = keyOf(of).map((key) => {
    const from = field.relationFromFields?.[field.relationToFields?.indexOf(key) ?? -1]
    if (from !== undefined) return columnOf(model, from)
    throw new UsageError({
      code: 'RELATION_NOT_BY_KEY',
      message: `--invalidate-on ${source}: the relation names its ${of.name} by ${field.relationToFields?.join(', ')}, not by its key.`,
      remedy: `Toasts are stored by the key. Write a trigger of your own that calls toasts_invalidate('…', keys).`,
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
    remedy: `Name one of these: ${models.map((each) => each.name).join(', ')}`,
  })
}

function keyOf(model: Model): string[] {
  return model.primaryKey?.fields ?? model.fields.filter(({ isId }) => isId).map(({ name }) => name)
}

/** The types whose JSON is the same in JavaScript and in SQL. */
const KEY_TYPES = ['Int', 'BigInt', 'String', 'Boolean']

/** The same text that the runtime makes of a record's key. */
function keyExpression(of: Model, columns: string[], source: string): string {
  const odd = of.fields.find(({ name, kind, type }) => {
    return keyOf(of).includes(name) && kind === 'scalar' && !KEY_TYPES.includes(type)
  })
  if (odd || columns.length === 0) {
    throw new UsageError({
      code: 'KEY_TYPE',
      message: odd
        ? `--invalidate-on ${source}: the key of ${of.name} is a ${odd.type}, which SQL and JavaScript write differently.`
        : `--invalidate-on ${source}: ${of.name} has no key.`,
      remedy: `A key of these types works: ${KEY_TYPES.join(', ')}.`,
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
