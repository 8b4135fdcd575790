import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { benchmarks } from '../../bench/benchmarks/index.js'
import { figures, isMet } from '../../bench/figures.js'
import { present, shownFigures } from '../../bench/present.js'
import { QUOTE, REPORT, readResults } from '../../bench/results.js'
import { REPOSITORY } from '../support/host.js'
import { pages } from './blocks.js'

const results = readResults(Object.keys(benchmarks))

const quotes = pages().flatMap((page) =>
  [...readFileSync(join(REPOSITORY, page), 'utf8').matchAll(QUOTE)].map(([, number, figure]) => ({
    page,
    number: number!,
    figure: figure!,
  })),
)

describe('the results of the benchmarks', () => {
  it('are shown by bench/RESULTS.md as bench/results holds them: npm run bench -- --render writes it', () => {
    expect(readFileSync(REPORT, 'utf8')).toBe(present(results))
  })

  it('hold every figure', () => {
    expect([...shownFigures(results).keys()].sort()).toEqual(figures.map(({ id }) => id).sort())
  })

  it('are explained where they miss a goal', () => {
    const missed = figures.filter((figure) => isMet(figure, Number(shownFigures(results).get(figure.id))) === false)
    expect(missed.filter(({ limit }) => !limit).map(({ id }) => id)).toEqual([])
  })

  it('are quoted by the README and the guides with the same numbers', () => {
    const shown = shownFigures(results)
    const wrong = quotes.filter(({ number, figure }) => shown.get(figure) !== number)
    expect(wrong.map((quote) => ({ ...quote, measured: shown.get(quote.figure) }))).toEqual([])
    expect([...new Set(quotes.map(({ page }) => page))]).toEqual(
      expect.arrayContaining(['README.md', 'docs/attempts.md', 'docs/toasts.md', 'docs/operating.md']),
    )
  })
})
