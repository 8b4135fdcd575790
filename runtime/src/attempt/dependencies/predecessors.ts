import { described } from '../../core/described.js'
import { AsyncGenError } from '../../core/errors.js'
import { type RowId, rowIdOf } from '../../core/row-id.js'
import type { Query } from '../../core/statement.js'
import type { BoundClass } from '../binding.js'
import { AttemptFields } from '../fields.js'
import type { IfFailed, NewAttempt } from '../row.js'

const IF_FAILED: readonly unknown[] = ['cancel', 'run', 'wait'] satisfies IfFailed[]

/**
 * The columns for the options `after` and `ifFailed`.
 * @throws AsyncGenError INVALID_OPTION, INVALID_ID
 */
export function predecessorColumns(
  { store, name }: BoundClass,
  after: readonly (AttemptFields | RowId)[] | undefined,
  ifFailed: IfFailed | undefined,
): Pick<NewAttempt, 'afterIds' | 'ifFailed'> {
  if (ifFailed !== undefined && !IF_FAILED.includes(ifFailed))
    throw invalid('ifFailed', ifFailed, "'cancel', 'run' or 'wait'")
  if (after === undefined) return {}
  if (!Array.isArray(after)) throw invalid('after', after, 'a list of attempts, or of their ids: after: [attempt]')
  if (after.length === 0) return {}
  const afterIds = after.map((each: AttemptFields | RowId) => {
    if (!(each instanceof AttemptFields)) return String(rowIdOf(each, `after of a call of ${name}`))
    if ((each.constructor as unknown as BoundClass).store.table === store.table) return String(each.id)
    throw new AsyncGenError(
      'INVALID_OPTION',
      `after has an attempt of another table. It must be a list of attempts of the table ${store.table}.`,
    )
  })
  return { afterIds, ifFailed }
}

/**
 * Otherwise the insert would fail, and the transaction with it.
 * @throws AsyncGenError PREDECESSOR_GONE
 */
export async function requirePredecessors(
  { store }: BoundClass,
  calls: readonly NewAttempt[],
  query: Query,
): Promise<void> {
  const ids = [...new Set(calls.flatMap(({ afterIds }) => afterIds ?? []))]
  if (ids.length === 0) return
  const [missing] = await store.dependencies.missing(ids, query)
  if (missing === undefined) return
  throw new AsyncGenError(
    'PREDECESSOR_GONE',
    `after names attempt ${missing}, which does not exist in ${store.table}: it was never recorded, or it was deleted.`,
  )
}

function invalid(option: string, value: unknown, wanted: string): AsyncGenError {
  return new AsyncGenError('INVALID_OPTION', `${option} is ${described(value)}. It must be ${wanted}.`)
}
