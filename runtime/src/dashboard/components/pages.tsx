import { rowIdIn } from '../../core/row-id.js'
import { withQuery } from '../links.js'
import { PageError } from '../page.js'
import type { Cursor } from '../sql/attempts.js'
import { countText } from './text.js'

interface PagesProps {
  label: string
  /** The address of the list, and its parameters. */
  list: string
  parameters: Record<string, string | undefined>
  next: Cursor | undefined
  /** How many rows were looked at, if the page ended for that reason. */
  searched?: number | undefined
  isFirst: boolean
}

/** The links to other pages of a list. */
export function Pages({ label, list, parameters, next, searched, isFirst }: PagesProps) {
  const after =
    next && withQuery(list, { ...parameters, after: next.time === undefined ? next.id : `${next.time}~${next.id}` })
  if (isFirst && !after) return null
  return (
    <nav class="pages" aria-label={`More ${label}`}>
      {searched !== undefined && (
        <p class="note">{`This page has looked at ${countText(searched)} ${label}. There may be more matches after them.`}</p>
      )}
      {!isFirst && (
        <a class="button" href={withQuery(list, parameters)}>
          First page
        </a>
      )}
      {after && (
        <a class="button" href={after} rel="next">
          {searched === undefined ? 'Next page' : 'Look further'}
        </a>
      )}
    </nav>
  )
}

/**
 * Where the page begins that the parameters ask for.
 * @throws PageError
 */
export function cursorOf(parameters: URLSearchParams): Cursor | undefined {
  const after = parameters.get('after')
  if (!after) return undefined
  const [, time, id] =
    /^(?:(-?infinity|\d{4,6}-\d\d-\d\dT[\d:.]{8,15}[\d:+-]{0,9}(?: BC)?)~)?(-?\d{1,19})$/.exec(after) ?? []
  if (id === undefined || rowIdIn(id) === undefined) throw new PageError(400, 'The address of this page is not valid.')
  return { id, ...(time !== undefined && { time }) }
}
