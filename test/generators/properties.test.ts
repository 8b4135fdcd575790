import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { merge, mergeWithoutBase } from '../../generators/changes/merge.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import { snakeCase as fileOf } from '../../generators/definitions/names.js'
import { addToPackageJson, removeFromPackageJson } from '../../generators/host/package-json.js'
import { readSection, removeSection, writeSection } from '../../generators/host/schema-block.js'
import { snakeCase as taskOf } from '../../runtime/src/core/names.js'
import { sampleHost } from './sample-host.js'

const line = fc.constantFrom('a', 'b', 'c', '', '}', '  x')
const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.join('\n'))

describe('names', () => {
  it('of a model make the same file for the CLI as the runtime makes a task of them', () => {
    const modelName = fc.stringMatching(/^[A-Z][A-Za-z0-9]{0,29}$/)
    fc.assert(fc.property(modelName, (name) => fileOf(name) === taskOf(name)))
  })
})

describe('merging', () => {
  it('nothing changes nothing', () => {
    fc.assert(
      fc.property(text, text, (base, mine) => {
        expect(merge(mine, base, base, 'x')).toEqual({ text: mine, conflicts: 0 })
        expect(merge(base, base, mine, 'x')).toEqual({ text: mine, conflicts: 0 })
        expect(merge(mine, base, mine, 'x')).toEqual({ text: mine, conflicts: 0 })
        expect(mergeWithoutBase(mine, mine, 'x')).toEqual({ text: mine, conflicts: 0 })
      }),
    )
  })

  it('keeps every line that the user added, whatever the other side did', () => {
    fc.assert(
      fc.property(text, text, fc.array(fc.nat(), { maxLength: 4 }), (base, theirs, places) => {
        const mine = withLines(base, places)
        const { text: merged } = merge(mine, base, theirs, 'x')
        places.forEach((_, i) => {
          expect(merged.split('\n')).toContain(`mine ${i}`)
        })
      }),
    )
  })
})

describe('what is put in can be taken out again, byte for byte:', () => {
  it('a section of the schema, beside others and whatever the line ends', () => {
    const schema = fc.tuple(text, fc.constantFrom('\n', '\r\n')).map(([lines, eol]) => lines.replaceAll('\n', eol))
    fc.assert(
      fc.property(schema, (before) => {
        const one = writeSection(before, 'one', 'model One {}')
        const two = writeSection(one, 'two', 'model Two {}')
        expect(readSection(two, 'one')).toBe('model One {}')
        expect(removeSection(two, 'two')).toBe(one)
        expect(removeSection(one, 'one')).toBe(before)
      }),
    )
  })

  it('the entries of package.json', () => {
    const entries = fc.dictionary(fc.constantFrom('express', 'zod', 'tsx', 'a'), fc.constant('1'), { minKeys: 1 })
    const json = fc.record(
      { name: fc.constant('host'), scripts: entries, dependencies: entries, devDependencies: entries },
      { requiredKeys: ['name'] },
    )
    const additions = {
      dependencies: { beta: '2', zod: '3' },
      devDependencies: { tsx: '4' },
      scripts: { a: 'b', c: 'd' },
    }
    fc.assert(
      fc.property(json, fc.constantFrom('  ', '    ', '\t'), (object, indent) => {
        const before = `${JSON.stringify(object, null, indent)}\n`
        const { text: after, record } = addToPackageJson(before, additions)
        expect(removeFromPackageJson(after, record).text).toBe(before)
      }),
    )
  })
})

describe('a host', () => {
  it('whose files are edited anywhere keeps every edit through runs and upgrades, which have nothing to do after themselves', async () => {
    const host = sampleHost()
    await host.run('install')
    await host.run('attempt')
    const files = host.files().filter((path) => path.startsWith('src/async/'))
    const original = new Map(files.map((path) => [path, host.read(path)]))
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
        async (path, places) => {
          for (const [file, before] of original) host.write(file, before)
          host.write(path, withLines(original.get(path)!, places))
          const edited = host.read(path)
          await host.run('install')
          await host.run('attempt')
          await upgrade({ cwd: host.root })
          expect(host.read(path)).toBe(edited)
          expect((await upgrade({ cwd: host.root })).plan.writes).toEqual([])
        },
      ),
      { numRuns: 15 },
    )
  })
})

/** The text with lines of its own, each somewhere. */
function withLines(text: string, places: number[]): string {
  return places.reduce((before, place, i) => {
    const lines = before.split('\n')
    return lines.toSpliced(place % (lines.length + 1), 0, `mine ${i}`).join('\n')
  }, text)
}
