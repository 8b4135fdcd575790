import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REPOSITORY } from '../support/host.js'

interface Requirement {
  id: string
  /** The test files that the page names. */
  files: string[]
}

const requirements = readRequirements()
const titles = readTitles()

describe('docs/requirements.md', () => {
  it('has each id once', () => {
    const ids = requirements.map(({ id }) => id)
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
    expect(ids.length).toBeGreaterThan(70)
  })

  it('has a row for each id that a test title names', () => {
    const known = new Set(requirements.map(({ id }) => id))
    const unknown = titles.filter(({ id }) => !known.has(id))
    expect(unknown, 'Correct the id in the title, or add the row').toEqual([])
  })

  it('has no row without a test whose title names it', () => {
    const named = new Set(titles.map(({ id }) => id))
    const untested = requirements.filter(({ id }) => !named.has(id))
    expect(untested, 'Add the id to the title of the test that covers the row').toEqual([])
  })

  it('names files whose test titles have the id', () => {
    const wrong = requirements.flatMap(({ id, files }) =>
      files
        .filter((file) => !titles.some((title) => title.id === id && title.file === file))
        .map((file) => `${id}: ${file}`),
    )
    expect(wrong, 'Name a file in which a title has the id').toEqual([])
    expect(requirements.filter(({ files }) => files.length === 0)).toEqual([])
  })
})

function readRequirements(): Requirement[] {
  const page = readFileSync(join(REPOSITORY, 'docs/requirements.md'), 'utf8')
  return [...page.matchAll(/^\| ([A-Z]\d+) +\|.*\|([^|]*)\|$/gm)].map(([, id, files]) => ({
    id: id!,
    files: [...files!.matchAll(/`([^`]+)`/g)].map(([, file]) => file!),
  }))
}

/** The ids with which titles of tests begin, such as A12 and P13 in “A12, P13: of several …”. */
function readTitles(): { id: string; file: string }[] {
  // Folders that begin with a dot are built, and hosts are applications.
  const suites = readdirSync(join(REPOSITORY, 'test')).filter((name) => !name.startsWith('.') && name !== 'hosts')
  const files = suites.flatMap((suite) => {
    const names = readdirSync(join(REPOSITORY, 'test', suite), { recursive: true, encoding: 'utf8' })
    return names.filter((name) => name.endsWith('.ts')).map((name) => `test/${suite}/${name.replaceAll('\\', '/')}`)
  })
  return files.flatMap((file) => {
    const text = readFileSync(join(REPOSITORY, file), 'utf8')
    const beginnings = text.matchAll(/['"`]([A-Z]\d+(?:, [A-Z]\d+)*): /g)
    return [...beginnings].flatMap(([, ids]) => ids!.split(', ').map((id) => ({ id, file })))
  })
}
