import { describe, expect, it } from 'vitest'
import { addToPackageJson, removeFromPackageJson } from '../../generators/host/package-json.js'

const additions = {
  dependencies: { '@async-gen/runtime': '^1.0.0', 'graphile-worker': '^0.17.3' },
  devDependencies: { tsx: '^4.0.0' },
  scripts: { 'async:worker': 'tsx src/async/worker.ts' },
}

const added = (text: string) => addToPackageJson(text, additions).text

describe('package.json', () => {
  it('gets dependencies in alphabetical order and the script last; tabs, order and the rest stay', () => {
    expect(
      added(
        '{\n\t"scripts": {\n\t\t"start": "node .",\n\t\t"build": "tsc"\n\t},\n\t"dependencies": {\n\t\t"express": "5",\n\t\t"zod": "4"\n\t},\n\t"type": "module"\n}\n',
      ),
    ).toBe(
      '{\n\t"scripts": {\n\t\t"start": "node .",\n\t\t"build": "tsc",\n\t\t"async:worker": "tsx src/async/worker.ts"\n\t},\n\t"dependencies": {\n\t\t"@async-gen/runtime": "^1.0.0",\n\t\t"express": "5",\n\t\t"graphile-worker": "^0.17.3",\n\t\t"zod": "4"\n\t},\n\t"type": "module",\n\t"devDependencies": {\n\t\t"tsx": "^4.0.0"\n\t}\n}\n',
    )
  })

  it('keeps what is there: a package in another field or at another version, a script of the same name', () => {
    const text = `${JSON.stringify(
      {
        dependencies: { '@async-gen/runtime': 'workspace:*' },
        peerDependencies: { 'graphile-worker': '*' },
        devDependencies: { tsx: '3' },
        scripts: { 'async:worker': 'bun worker.ts' },
      },
      null,
      4,
    )}\n`
    expect(added(text)).toBe(text)
  })

  it('that is empty becomes whole', () => {
    expect(JSON.parse(added('{}'))).toEqual(additions)
  })

  it.each([
    '{\n\t"scripts": {\n\t\t"start": "node ."\n\t},\n\t"dependencies": {\n\t\t"express": "5",\n\t\t"zod": "4"\n\t}\n}\n',
    '{\n  "dependencies": {},\n  "devDependencies": { "tsx": "3" },\n  "type": "module"\n}\n',
    '{\r\n  "name": "host",\r\n  "scripts": {\r\n    "async:worker": "mine"\r\n  }\r\n}\r\n',
  ])('is as it was when what was put in is taken out: %j', (text) => {
    const { text: after, record } = addToPackageJson(text, additions)
    expect(removeFromPackageJson(after, record).text).toBe(text)
  })

  it('keeps what has been changed since, and says so', () => {
    const { text, record } = addToPackageJson('{}', additions)
    const { text: after, kept } = removeFromPackageJson(text.replace('^0.17.3', '0.17.1'), record)
    expect(kept).toEqual(['dependencies.graphile-worker'])
    expect(JSON.parse(after)).toEqual({ dependencies: { 'graphile-worker': '0.17.1' } })
  })

  it('gets the newer version of what was put in, unless the host has another since', () => {
    const first = addToPackageJson('{}', additions)
    const newer = { ...additions, dependencies: { '@async-gen/runtime': '^1.1.0', 'graphile-worker': '^0.18.0' } }
    const { text } = addToPackageJson(first.text.replace('^0.17.3', '0.17.1'), newer, first.record)
    expect(JSON.parse(text).dependencies).toEqual({ '@async-gen/runtime': '^1.1.0', 'graphile-worker': '0.17.1' })
  })
})
