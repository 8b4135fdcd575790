import { describe, expect, it } from 'vitest'
import { applyEdits, mutantsOf, switchable } from './mutants.js'

describe('the mutants of a statement', () => {
  it.each([
    ['a = 1 AND b < 2', ['WHERE TRUE AND b < 2', 'WHERE a = 1 AND TRUE', 'WHERE a = 1 AND b <= 2']],
    [
      'a OR (b AND c)',
      ['WHERE FALSE OR (b AND c)', 'WHERE a OR FALSE', 'WHERE a OR (TRUE AND c)', 'WHERE a OR (b AND TRUE)'],
    ],
    ['a BETWEEN b AND c', ['WHERE TRUE']],
    ['a IS DISTINCT FROM b', ['WHERE TRUE']],
  ])('leave out each condition, and move each limit: %s', (conditions, expected) => {
    expect(statements(`WHERE ${conditions}`)).toEqual(expected)
  })

  it('leave out each assignment', () => {
    expect(statements('UPDATE t SET a = 1, b = coalesce(c, 2), updated_at = now()')).toEqual([
      'UPDATE t SET b = coalesce(c, 2), updated_at = now()',
      'UPDATE t SET a = 1, updated_at = now()',
      'UPDATE t SET a = 1, b = (c), updated_at = now()',
      'UPDATE t SET a = 1, b = (2), updated_at = now()',
    ])
  })

  it('leave out each lock, order and limit', () => {
    expect(statements('SELECT a FROM t ORDER BY b DESC LIMIT 1 FOR UPDATE SKIP LOCKED')).toEqual([
      'SELECT a FROM t  LIMIT 1 FOR UPDATE SKIP LOCKED',
      'SELECT a FROM t ORDER BY b  LIMIT 1 FOR UPDATE SKIP LOCKED',
      'SELECT a FROM t ORDER BY b DESC  FOR UPDATE SKIP LOCKED',
      'SELECT a FROM t ORDER BY b DESC LIMIT 1 ',
      'SELECT a FROM t ORDER BY b DESC LIMIT 1 FOR UPDATE ',
    ])
  })

  it('take each condition of a CASE as true, and as false', () => {
    expect(statements('SELECT CASE WHEN a > b THEN 1 ELSE 2 END')).toEqual([
      'SELECT CASE WHEN TRUE THEN 1 ELSE 2 END',
      'SELECT CASE WHEN FALSE THEN 1 ELSE 2 END',
      'SELECT CASE WHEN a >= b THEN 1 ELSE 2 END',
    ])
  })

  it('change no comment and no text', () => {
    const sql = `SELECT a -- AND b < c\n WHERE \${isDue(a < b)} AND c = 'x < y AND z'`
    expect(statements(sql)).toEqual([
      sql.replace(/\$.*\)}/, 'TRUE'),
      sql.replace('a < b)', 'a <= b)'),
      sql.replace(/c = .*/, 'TRUE'),
    ])
  })
})

it('the mutants of code change its conditions, comparisons, operators and statements', () => {
  expect(texts('function f() { if (a && !b) save(c < 1 ? d : e + 2) }')).toEqual([
    'function f() { if (true) save(c < 1 ? d : e + 2) }',
    'function f() { if (false) save(c < 1 ? d : e + 2) }',
    'function f() { if (a) save(c < 1 ? d : e + 2) }',
    'function f() { if (!b) save(c < 1 ? d : e + 2) }',
    'function f() { if (a && !b) ; }',
    'function f() { if (a && !b) save(true ? d : e + 2) }',
    'function f() { if (a && !b) save(false ? d : e + 2) }',
    'function f() { if (a && !b) save(c <= 1 ? d : e + 2) }',
    'function f() { if (a && !b) save(c < 1 ? d : e - 2) }',
  ])
})

it('each mutant can be switched on while the code runs, and says which part of it has run', () => {
  const source = [
    'const isOwn = `a = 1 AND b`',
    `const statements = (table) => ({ find: { text: \`SELECT FROM \${table} WHERE \${isOwn} AND c\` } })`,
    'const isOld = (age) => { return [age].some((years) => years > 30) }',
  ].join('\n')
  const mutants = mutantsOf(source, 'a.ts')
  const covered: string[] = []
  const evaluations: (() => void)[] = []
  globalThis.covered = (file, unit) => covered.push(`${file}:${unit}`)
  globalThis.onMutant = (evaluate) => evaluations.push(evaluate)
  const code = switchable(source, 'a.ts', new Map(mutants.entries()))
  const { find, isOld } = new Function(`${code}; return { ...statements('t'), isOld }`)()
  covered.length = 0

  const outcomes = [undefined, ...mutants.keys()].map((mutant) => {
    globalThis.mutant = mutant
    for (const evaluate of evaluations) evaluate()
    return `${find.text} ${isOld(30)}`
  })

  expect(outcomes).toEqual([
    'SELECT FROM t WHERE a = 1 AND b AND c false',
    'SELECT FROM t WHERE TRUE AND b AND c false',
    'SELECT FROM t WHERE a = 1 AND TRUE AND c false',
    'SELECT FROM t WHERE TRUE AND c false',
    'SELECT FROM t WHERE a = 1 AND b AND TRUE false',
    'SELECT FROM t WHERE a = 1 AND b AND c false',
    'SELECT FROM t WHERE a = 1 AND b AND c true',
  ])
  expect(mutants.every(({ units }) => units.some((unit) => covered.includes(`a.ts:${unit}`)))).toBe(true)
})

/** The text of a statement with each change that is made to it. */
function statements(sql: string): string[] {
  const [before, after] = ['const find = { text: `', '` }']
  return texts(before + sql + after).map((text) => text.slice(before.length, -after.length))
}

function texts(source: string): string[] {
  return mutantsOf(source, 'a.ts').map((mutant) => applyEdits(source, [mutant]))
}
