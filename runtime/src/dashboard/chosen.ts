import { rowIdIn } from '../core/row-id.js'
import { PageError } from './page.js'

/** How many rows can be chosen one by one. */
const MAX_CHOSEN = 500

/**
 * The ids of the rows that the user has chosen; none if all that match are meant.
 * @param noun what the rows are
 * @throws PageError
 */
export function chosenIds(parameters: URLSearchParams, noun: string): string[] {
  const ids = chosenTexts(parameters, noun).map((text) => {
    const id = rowIdIn(text)
    if (id === undefined) throw new PageError(400, 'An id is a whole number.')
    return String(id)
  })
  // `7` and `07` are the same.
  return [...new Set(ids)]
}

/** The same where an id is not all that names a row. */
export function chosenTexts(parameters: URLSearchParams, noun: string): string[] {
  if (parameters.get('all') === '1') return []
  const ids = [...new Set(parameters.getAll('id'))]
  if (ids.length === 0)
    throw new PageError(400, `No ${noun} was chosen. Go back and choose some, or choose all that match.`)
  if (ids.length > MAX_CHOSEN) throw new PageError(400, `At most ${MAX_CHOSEN} rows can be chosen one by one.`)
  return ids
}
