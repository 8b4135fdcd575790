// Times as PostgreSQL writes them, read as the milliseconds that PostgreSQL counts.
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { toDate } from '../../runtime/src/core/postgres/parsers.js'
import { TYPES } from '../../runtime/src/core/postgres/pool.js'
import { testDatabase } from '../support/database.js'

const connection = new pg.Client({ connectionString: await testDatabase() })
beforeAll(() => connection.connect())
afterAll(() => connection.end())

/** From the year 1 to the year 20000, in microseconds since 1970. */
const microseconds = fc.bigInt(-62_135_596_800_000_000n, 568_971_820_800_000_000n)
/** Times with few digits after the second, which PostgreSQL writes without the zeros at their end. */
const roundMicroseconds = fc
  .tuple(microseconds, fc.constantFrom(100n, 1000n, 10_000n, 1_000_000n))
  .map(([each, unit]) => (each / unit) * unit)

it.each(['UTC', 'Asia/Kolkata', 'America/St_Johns'])(
  'P17: each time, where the session has the zone %s',
  async (zone) => {
    await connection.query(`SET TimeZone = '${zone}'`)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(microseconds, roundMicroseconds), { minLength: 200, maxLength: 200 }),
        async (times) => {
          const { rows } = await connection.query(
            `SELECT time::text, floor(extract(epoch FROM time) * 1000)::text AS milliseconds
         FROM unnest($1::bigint[]) AS id, LATERAL (SELECT 'epoch'::timestamptz + id * interval '1 microsecond' AS time) AS t`,
            [times.map(String)],
          )
          for (const { time, milliseconds } of rows) expect(toDate(time).getTime(), time).toBe(Number(milliseconds))
        },
      ),
      { numRuns: 10 },
    )
  },
)

it('P17: a list of decimals, without rounding', async () => {
  const { rows } = await connection.query({
    text: `SELECT ARRAY[1.10, 12345678901234567890.12, NULL]::numeric[] AS list`,
    types: TYPES,
  })
  expect(rows).toEqual([{ list: ['1.10', '12345678901234567890.12', null] }])
})
