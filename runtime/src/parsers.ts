import pg from 'pg'

/** The farthest that a Date reaches, for what PostgreSQL calls infinity. Milliseconds. */
const FOREVER = 8.64e15

/** What columns are read as: the same whatever parsers the host has set for all of pg, and times without a zone as Prisma means them. */
const PARSERS = new Map<number, (text: string) => unknown>([
  [pg.types.builtins.INT8, String],
  [pg.types.builtins.NUMERIC, String],
  [pg.types.builtins.JSON, JSON.parse],
  [pg.types.builtins.JSONB, JSON.parse],
  [pg.types.builtins.TIMESTAMPTZ, toDate],
  [pg.types.builtins.TIMESTAMP, toDate],
  [pg.types.builtins.DATE, toDate],
])

/** For the queries of the runtime. */
export const types: pg.CustomTypesConfig = {
  getTypeParser: (type: number, format?: 'text' | 'binary') =>
    PARSERS.get(type) ?? pg.types.getTypeParser(type, format as 'text'),
}

/** A time as PostgreSQL writes it, `2026-11-22 01:30:00.123456+05:30`. One without a zone is in UTC, as Prisma stores it. */
function toDate(text: string): Date {
  if (text.endsWith('infinity')) return new Date(text.startsWith('-') ? -FOREVER : FOREVER)
  const [, day, time = '00:00:00', hours = '+00', minutes = '00'] = ISO.exec(text) ?? []
  return new Date(`${day}T${time}${hours}:${minutes}`)
}

const ISO = /^(\d{4}-\d\d-\d\d)(?: ([\d:.]+))?(?:([+-]\d\d)(?::(\d\d))?)?$/
