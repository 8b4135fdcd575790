/** The farthest that a Date reaches, for what PostgreSQL calls infinity. Milliseconds. */
const FOREVER = 8.64e15

/**
 * What columns are read as, by the number of their type: the same whatever parsers the host has set for all of pg, and times without a
 * zone as Prisma means them.
 */
export const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map([
  [20, String], // int8
  [1700, String], // numeric
  [114, JSON.parse], // json
  [3802, JSON.parse], // jsonb
  [1184, toDate], // timestamptz
  [1114, toDate], // timestamp
  [1082, toDate], // date
])

/** A time as PostgreSQL writes it, `2026-11-22 01:30:00.123456+05:30`. One without a zone is in UTC, as Prisma stores it. */
function toDate(text: string): Date {
  if (text.endsWith('infinity')) return new Date(text.startsWith('-') ? -FOREVER : FOREVER)
  const [, day, time = '00:00:00', hours = '+00', minutes = '00'] = ISO.exec(text) ?? []
  return new Date(`${day}T${time}${hours}:${minutes}`)
}

const ISO = /^(\d{4}-\d\d-\d\d)(?: ([\d:.]+))?(?:([+-]\d\d)(?::(\d\d))?)?$/
