import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { REPOSITORY } from '../support/host.js'

it('docs/dependencies.md says why each dependency is there, and names no other', () => {
  const page = readFileSync(join(REPOSITORY, 'docs/dependencies.md'), 'utf8')
  const [taken] = page.split('\n## Not taken\n')
  const explained = [...taken!.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name)
  const installed = ['package.json', 'runtime/package.json'].flatMap((file) => {
    const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(REPOSITORY, file), 'utf8'))
    return Object.keys({ ...dependencies, ...peerDependencies })
  })
  expect(explained.sort()).toEqual(installed.sort())
})
