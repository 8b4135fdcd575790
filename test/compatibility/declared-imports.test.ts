import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SourceModules, walk } from '../../generators/host/source-modules.js'
import { PACKAGES, REPOSITORY } from '../support/host.js'
import { run } from '../support/run.js'

describe('what a package imports, its package.json declares', () => {
  it.each(['.', 'runtime'])('%s', async (folder) => {
    const { name, dependencies, peerDependencies } = JSON.parse(
      readFileSync(join(REPOSITORY, folder, 'package.json'), 'utf8'),
    )
    const declared = Object.keys({ [name]: '', ...dependencies, ...peerDependencies })
    const dist = join(REPOSITORY, folder, 'dist')
    const modules = await SourceModules.of({ root: dist, modules: { resolvePath: () => [] } })
    const imported = new Set<string>()
    for (const path of modules.paths()) {
      walk(modules.program(path), ({ type, source }) => {
        if (/^(Import|Export)/.test(type) && source?.type === 'Literal') imported.add(source.value)
        return true
      })
    }
    const packages = [...imported].filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
    expect(packages.length).toBeGreaterThan(3)
    expect(packages.filter((specifier) => !declared.includes(packageOf(specifier)))).toEqual([])
  })
})

describe("the runtime takes the class of decimals from the host's own client", () => {
  it('in a workspace of pnpm, where a package sees nothing that it does not declare', async () => {
    const root = folderWith({
      'package.json': { name: 'top', private: true },
      'pnpm-workspace.yaml': 'packages:\n  - apps/*\nhoist: false\n',
      'apps/shop/package.json': { name: 'shop', dependencies: packages('7.4.0') },
    })
    await run(root, 'npx', ['--yes', 'pnpm@10', 'install', '--ignore-scripts'])
    await expectHostsClient(join(root, 'apps/shop'), '7.4.0')
  }, 300_000)

  it('in a workspace of npm whose older application has another major of Prisma', async () => {
    const root = folderWith({
      'package.json': { name: 'top', private: true, workspaces: ['apps/*'] },
      'apps/admin/package.json': { name: 'admin', dependencies: { '@prisma/client': '6.19.0' } },
      'apps/shop/package.json': { name: 'shop', dependencies: packages('7.4.0') },
    })
    await run(root, 'npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'])
    expect(versionOf(join(root, 'apps/admin'))).toBe('6.19.0')
    await expectHostsClient(join(root, 'apps/shop'), '7.4.0')
  }, 300_000)
})

function packages(prisma: string) {
  const tarball = readdirSync(PACKAGES).find((file) => file.startsWith('async-gen-runtime-'))!
  return {
    '@prisma/client': prisma,
    '@async-gen/runtime': `file:${join(PACKAGES, tarball)}`,
    'graphile-worker': '^0.17.3',
  }
}

async function expectHostsClient(root: string, version: string) {
  expect(versionOf(root)).toBe(version)
  await run(root, process.execPath, ['--input-type=module', '-e', "await import('@async-gen/runtime')"])
  const runtime = realpathSync(
    join(dirname(resolveFrom(root, '@async-gen/runtime/package.json')), 'dist/core/prisma/decimal.js'),
  )
  const isSame = `
    const { Decimal } = await import('@prisma/client/runtime/client')
    const { decimalOf } = await import(${JSON.stringify(runtime)})
    console.log(Decimal === (await decimalOf(${JSON.stringify(version)})))`
  const { stdout } = await run(root, process.execPath, ['--input-type=module', '-e', isSame])
  expect(stdout.trim()).toBe('true')
}

function versionOf(root: string): string {
  return JSON.parse(readFileSync(resolveFrom(root, '@prisma/client/package.json'), 'utf8')).version
}

function resolveFrom(root: string, specifier: string): string {
  return realpathSync(createRequire(join(root, 'package.json')).resolve(specifier))
}

function packageOf(specifier: string): string {
  return /^(@[^/]+\/)?[^/]+/.exec(specifier)![0]
}

function folderWith(files: Record<string, object | string>): string {
  const root = mkdtempSync(join(tmpdir(), 'async-gen-install-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return root
}
