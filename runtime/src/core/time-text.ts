/** A time for people, in UTC and to the second: `2026-11-26T08:12:40Z`. Commands accept it, so it can be pasted into `--since`. */
export function timeText(time: Date): string {
  return time.toISOString().replace(/\.\d+/, '')
}

/** What the clocks of a time zone show: `2026-11-27 07:00`. Undefined for UTC and for what is no time zone. */
export function localTimeText(time: Date, zone: string): string | undefined {
  if (/^(etc\/)?utc$/i.test(zone)) return undefined
  try {
    // Sweden writes dates like ISO 8601.
    return new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'short' }).format(time)
  } catch {
    return undefined
  }
}
