import { describe, expect, it } from 'vitest'
import { addToPackageJson, readPackageJson } from '../../generators/host/package-json.js'
import { sampleHost } from './sample-host.js'

const additions = {
  dependencies: { '@async-gen/runtime': '^1.0.0', 'graphile-worker': '^0.17.3' },
  devDependencies: { tsx: '^4.0.0' },
  scripts: { 'async:worker': 'tsx src/async/worker.ts' },
}

const added = (text: string) => addToPackageJson(readPackageJson(sampleHost({ 'package.json': text }).root), additions)

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
})
