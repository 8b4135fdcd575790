import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import manifest from '../../runtime/package.json' with { type: 'json' }
import { REPOSITORY } from '../support/host.js'

// TypeScript 5 with `"module": "commonjs"` and nothing else: `moduleResolution` is node10 then.
it('every entry is found by compilers that do not read `exports`', () => {
  const { '.': main, './package.json': _, ...others } = manifest.exports
  expect(manifest).toMatchObject({ main: main.default, types: main.types })
  const files = Object.entries(others).map(([path, { types }]) => [path.replace('./', ''), [types]])
  expect(manifest.typesVersions).toEqual({ '*': Object.fromEntries(files) })
})

it('no declaration imports a package that a host may not have', () => {
  const optional = Object.keys(manifest.peerDependenciesMeta)
  const entries = Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.types]))
  expect(entries).toContain('./dist/events/index.d.ts')
  for (const entry of entries) {
    const imported = importsOf(join(DIST, '..', entry), new Set())
    expect(imported.filter((name) => optional.includes(name))).toEqual([])
    if (entry === manifest.types) expect(imported).toContain('pg')
  }
  expect(manifest.dependencies, 'the types of pg are part of ours').toHaveProperty('@types/pg')
})

it('importing the runtime does not load OpenTelemetry, which a process needs later or never', () => {
  const program = `import('@async-gen/runtime').then(() => console.log(Object.keys(require.cache).join('\\n')))`
  const loaded = execFileSync(process.execPath, ['-e', program], { cwd: REPOSITORY, encoding: 'utf8' })
  expect(loaded).toMatch(/node_modules.pg.lib/)
  expect(loaded).not.toMatch(/node_modules.@opentelemetry/)
})

const DIST = fileURLToPath(new URL('../../runtime/dist', import.meta.url))

/** The packages that a declaration imports, and all declarations that it imports itself. */
function importsOf(file: string, seen: Set<string>): string[] {
  if (seen.has(file)) return []
  seen.add(file)
  const code = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '')
  const specifiers = [...code.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, name]) => name!)
  return specifiers.flatMap((name) =>
    name.startsWith('.') ? importsOf(join(dirname(file), name.replace(/\.js$/, '.d.ts')), seen) : [name],
  )
}
