import { type Duration, milliseconds } from './duration.js'

/** What a person has entered: a length of time such as `30m`, or a time in UTC unless it names its zone. Undefined for anything else. */
export function timeInput(text: string): Date | Duration | undefined {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    // PostgreSQL writes a space, and an offset of hours alone.
    const iso = text.replace(' ', 'T').replace(/(T.*[+-]\d\d)$/, '$1:00')
    const hasZone = /T.*(Z|[+-]\d\d:?\d\d)$/i.test(iso)
    const date = new Date(/^\d{4}-\d\d-\d\d$/.test(iso) || hasZone ? iso : `${iso}Z`)
    if (!Number.isNaN(date.getTime())) return date
  } else {
    try {
      // A lone number would be milliseconds, which nobody means.
      if (!/^[\d.]+$/.test(text) && milliseconds(text as Duration) >= 0) return text as Duration
    } catch {
      // Neither.
    }
  }
  return undefined
}
