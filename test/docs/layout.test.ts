import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REPOSITORY } from '../support/host.js'

// Biome enforces the rules in biome.layout.jsonc. A folder without a rule would escape them.
const rules = readFileSync(join(REPOSITORY, 'biome.layout.jsonc'), 'utf8')
const namesIn = (folder: string) => readdirSync(join(REPOSITORY, folder), { withFileTypes: true })

describe.each(['runtime/src', 'generators'])('%s', (root) => {
  const entries = namesIn(root)

  it('has a rule about imports for each of its folders', () => {
    for (const { name } of entries.filter((entry) => entry.isDirectory())) {
      expect(rules, `Add a rule for ${root}/${name} to biome.layout.jsonc`).toContain(`"${root}/${name}/**"`)
    }
  })

  it('has no loose files but the entry point', () => {
    const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
    expect(files).toEqual(root === 'runtime/src' ? ['index.ts'] : [])
  })
})
