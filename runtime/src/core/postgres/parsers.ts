import pg from 'pg'

/** The latest time of a Date, in milliseconds, for PostgreSQL's `infinity`. */
const LATEST = 8.64e15

// The compiler knows only some type OIDs.
const TEXT_ARRAY: number = 1009

/**
 * The parsers of column types, by type OID. They replace parsers that the host may have set for all of pg, and read times without a zone
 * as UTC, like Prisma.
 */
export const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map([
  [20, String], // int8
  [1700, String], // numeric
  [1231, pg.types.getTypeParser(TEXT_ARRAY, 'text')], // numeric[], as text[]: pg's own parser rounds
  [114, JSON.parse], // json
  [3802, JSON.parse], // jsonb
  [1184, toDate], // timestamptz
  [1114, toDate], // timestamp
  [1082, toDate], // date
])

/**
 * Reads a time as PostgreSQL writes it, `2026-11-22 01:30:00.123456+05:30`, or as its JSON functions do, with a `T`. A time without a zone
 * is UTC, as Prisma stores it.
 */
export function toDate(text: string): Date {
  if (isPlainUtc(text)) return new Date(plainUtc(text))
  if (text.endsWith('infinity')) return new Date(text.startsWith('-') ? -LATEST : LATEST)
  const parts = ISO.exec(text)
  if (!parts) return toDistantDate(text)
  const [, day, time = '00:00:00', hours = '+00', minutes = '00'] = parts
  return new Date(`${day}T${time}${hours}:${minutes}`)
}

/** Whether a time is `2026-11-22 01:30:00.123+00`, with or without a fraction, of the years 1000 to 9999. Most times are. */
function isPlainUtc(text: string): boolean {
  return text.endsWith('+00') && text[10] === ' ' && text[0] !== '0' && (text.length === 22 || text[19] === '.')
}

/** In milliseconds since 1970. A row has several times, and this takes a fourth of the time of a regular expression. */
function plainUtc(text: string): number {
  const digit = (place: number) => text.charCodeAt(place) - 48
  const two = (place: number) => 10 * digit(place) + digit(place + 1)
  const digits = Math.min(text.length - 23, 3)
  let milliseconds = 0
  for (let i = 0; i < digits; i++) milliseconds += digit(20 + i) * 10 ** (2 - i)
  return Date.UTC(100 * two(0) + two(2), two(5) - 1, two(8), two(11), two(14), two(17), milliseconds)
}

/** Reads a time that `new Date` cannot parse: after the year 9999, before the year 1, or with seconds in its zone. */
function toDistantDate(text: string): Date {
  const [, year, month, day, hour, minute, second, fraction, sign, ...rest] = DISTANT.exec(text) ?? []
  // A time of day has no date. Prisma uses 1970-01-01.
  if (year === undefined) return new Date(`1970-01-01T${text.replace(/[+-].*/, '')}Z`)
  const [hours, minutes, seconds, isBeforeChrist] = rest
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60 + Number(seconds ?? 0)
  const date = new Date(0)
  date.setUTCFullYear(isBeforeChrist ? 1 - Number(year) : Number(year), Number(month) - 1, Number(day))
  const utcSeconds = Number(second ?? 0) - (sign === '-' ? -offset : offset)
  date.setUTCHours(Number(hour ?? 0), Number(minute ?? 0), utcSeconds, Math.trunc(Number(`0${fraction ?? ''}`) * 1000))
  return Number.isNaN(date.getTime()) ? new Date(LATEST) : date
}

const ISO = /^(\d{4}-\d\d-\d\d)(?:[ T]([\d:.]+))?(?:([+-]\d\d)(?::(\d\d))?)?$/

const DISTANT =
  /^(\d{4,})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(\.\d+)?)?(?:([+-])(\d\d)(?::(\d\d)(?::(\d\d))?)?)?( BC)?$/
