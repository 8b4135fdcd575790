import { expect, it } from 'vitest'
import { jsonLines } from '../../runtime/src/dashboard/components/json-lines.js'
import { durationText, printableLines, sizeText } from '../../runtime/src/dashboard/components/text.js'
import { countOfPart } from '../../runtime/src/dashboard/queries/overview.js'

it('JSON gets lines and indentation, and short lists stay on one line', () => {
  const value = { order: { number: 1, tags: ['a', 'b'] }, note: 'brackets ] } " in a text, and more of it'.repeat(2) }
  const lines = jsonLines(JSON.stringify(value))
  expect(JSON.parse(lines)).toEqual(value)
  expect(lines.split('\n')[1]).toBe('  "order":{"number":1,"tags":["a","b"]},')
})

it('JSON of any depth and JSON that was cut have lines too, in little time and space', () => {
  const deep = `${'[1, '.repeat(20_000)}1${']'.repeat(20_000)}`
  for (const text of [deep, deep.slice(0, 50_000), '{"a": "an open tex', '', ']]]', '{"a\\']) {
    const lines = jsonLines(text)
    expect(lines.replace(/\s/g, '')).toBe(text.replace(/\s/g, ''))
    expect(lines.length).toBeLessThan(20 * text.length + 10)
  }
})

it('lengths of time have their two largest units', () => {
  const texts = [0, 999.6, 1500, 61_000, 3_600_000, 90_061_000, Number.NaN].map(durationText)
  expect(texts).toEqual(['0 ms', '1000 ms', '1.5 s', '1 min 1 s', '1 h', '1 d 1 h', 'for ever'])
})

it('sizes and texts are short and safe', () => {
  expect([12, 1500, 8_388_608].map(sizeText)).toEqual(['12 bytes', '1.5 kB', '8.4 MB'])
  expect(printableLines('a\tb\r\n\u202ec\ud800')).toBe('a  b\n\\u{202e}c\ufffd')
})

it('a part with many rows is counted by its first and last rows', () => {
  const part = { number: 0, status: 'succeeded' as const, median: 1, slow: 1 }
  const few = { ...part, count: 7, firstSpan: 50, lastCount: null, lastSpan: null, between: null }
  expect(countOfPart(few)).toEqual({ count: 7, isEstimate: false })
  // 300 rows in the first 10 s, 300 in the last 10 s, and 40 s between them.
  expect(countOfPart({ ...part, count: 300, firstSpan: 10, lastCount: 300, lastSpan: 10, between: 40 })).toEqual({
    count: 1800,
    isEstimate: true,
  })
  // All 10,000 rows ended within one second.
  const burst = { ...part, count: 300, firstSpan: 0.03, lastCount: 300, lastSpan: 0.03, between: 0.94 }
  expect(countOfPart(burst)).toEqual({ count: 10_000, isEstimate: true })
  // 450 rows: the last 300 begin among the first 300.
  const overlap = { ...part, count: 300, firstSpan: 30, lastCount: 300, lastSpan: 30, between: -15 }
  expect(countOfPart(overlap)).toEqual({ count: 450, isEstimate: true })
})
