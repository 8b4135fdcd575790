import { expect, it } from 'vitest'
import manifest from '../../runtime/package.json' with { type: 'json' }

// TypeScript 5 with `"module": "commonjs"` and nothing else: `moduleResolution` is node10 then.
it('every entry is found by compilers that do not read `exports`', () => {
  const { '.': main, './package.json': _, ...others } = manifest.exports
  expect(manifest).toMatchObject({ main: main.default, types: main.types })
  const files = Object.entries(others).map(([path, { types }]) => [path.replace('./', ''), [types]])
  expect(manifest.typesVersions).toEqual({ '*': Object.fromEntries(files) })
})
