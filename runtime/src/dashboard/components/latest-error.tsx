import { headOf, usefulLine } from '../../core/error-text.js'
import { printable } from '../../core/printable.js'

interface LatestErrorProps {
  name: string | null
  message: string | null
  code?: string | null
}

/** The error of the last failure, on one line. */
export function LatestError({ name, message, code }: LatestErrorProps) {
  if (name === null && message === null) return null
  const shown = { name: name ?? 'Error', message: message ?? '', ...(code && { code }) }
  return <span class="latest-error">{printable(`${headOf(shown)}: ${usefulLine(shown)}`, 200)}</span>
}
