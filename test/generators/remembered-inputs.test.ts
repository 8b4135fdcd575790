import { mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { recover } from '../../generators/changes/commit.js'
import { readJournal } from '../../generators/changes/journal.js'
import { hashOf, parseFileKey, readManifest } from '../../generators/changes/manifest.js'
import { destroy } from '../../generators/commands/destroy.js'
import { upgrade } from '../../generators/commands/upgrade.js'
import { GeneratorError } from '../../generators/host/errors.js'
import { type SampleHost, sampleHost } from './sample-host.js'

const MANIFEST = '.async-gen/manifest.json'
const JOURNAL = '.async-gen/journal.json'
const PRECIOUS = 'precious\n'

/** A step that would delete what is not there, in a file as if that were a folder. */
const IN_A_FILE = { path: 'src/db.ts/x', temporary: null, before: null }

/** Values that a hostile or broken file may hold anywhere. */
const odd = fc.oneof(
  fc.constantFrom(
    '../outside/precious.ts',
    '/etc/passwd',
    'C:\\x',
    '..',
    '',
    'a/../../outside/precious.ts',
    '__proto__',
    '\0',
  ),
  fc.constantFrom(
    'constructor',
    'toString',
    '.',
    'src',
    'src/async',
    'src/db.ts',
    'src/db.ts/x',
    'package.json',
    'a.md#b',
  ),
  fc.jsonValue(),
)

describe('a manifest', () => {
  it.each([
    ['files', { '../outside/precious.ts': { owner: 'install', hash: hashOf(PRECIOUS) } }],
    ['files', { 'src/../../outside/precious.ts': { owner: 'install', hash: hashOf(PRECIOUS) } }],
    ['files', { '/outside/precious.ts': { owner: 'install', hash: hashOf(PRECIOUS) } }],
    ['files', { '..\\outside\\precious.ts': { owner: 'install', hash: hashOf(PRECIOUS) } }],
    ['files', { 'src/async/worker.ts': 'install' }],
    ['files', { '.': { owner: 'install', hash: '' } }],
    ['files', { 'package.json': { owner: 'install', hash: '' } }],
    ['files', { 'src/./async/worker.ts': { owner: 'install', hash: '' } }],
    ['files', []],
    ['files', null],
    ['migrations', { create_toasts: { folder: '../../../outside', hash: hashOf(PRECIOUS) } }],
    ['migrations', { create_toasts: { folder: '..', hash: hashOf(PRECIOUS) } }],
    ['migrations', { create_toasts: { folder: 'old/create_toasts', hash: hashOf(PRECIOUS) } }],
    ['settings', { dir: '../outside', client: 'src/db.ts#prisma' }],
    ['settings', { dir: 5, client: 'src/db.ts#prisma' }],
    ['settings', { dir: 'src/async', client: 'src/db.ts\0#prisma' }],
    ['settings', { dir: 'src/async', client: 'src/db.ts#prisma', urlVariables: [5] }],
    ['generators', { install: { generator: 'install', names: '../x' } }],
    ['generators', { reports: { generator: 'reports', names: ['../../x'] } }],
    ['generators', { reports: { generator: 'reports', names: [7] } }],
    ['package', { dependencies: { a: 1 }, devDependencies: {}, scripts: {}, fields: [] }],
    ['asyncGen', 'latest; rm -rf /'],
    ['asyncGen', '1.0.0-01'],
  ])('whose %s are %j is refused, and nothing is touched', async (part, value) => {
    const { host, outside } = await installed()
    const manifest = JSON.parse(host.read(MANIFEST))
    host.write(MANIFEST, JSON.stringify({ ...manifest, [part]: value }))
    const before = host.hash()
    const expected = { code: 'MANIFEST_INVALID', message: expect.stringContaining(`: "${part}" is missing`) }
    await expect(upgrade({ cwd: host.root })).rejects.toMatchObject(expected)
    await expect(destroy({ cwd: host.root, generator: 'install' })).rejects.toMatchObject(expected)
    expect(host.hash()).toBe(before)
    expect(outside()).toEqual([PRECIOUS])
  })

  it.each([
    ['prisma/schema.prisma#toasts', 'prisma/schema.prisma', 'toasts'],
    ['src/async/worker.ts', 'src/async/worker.ts', undefined],
    ['db/c#/schema/toasts.prisma', 'db/c#/schema/toasts.prisma', undefined],
    ['db/c#/app.prisma#toasts', 'db/c#/app.prisma', 'toasts'],
  ])('has a key %s, which names the file %s and the section %s', (key, path, section) => {
    expect(parseFileKey(key)).toEqual({ path, section })
  })

  it('with a key __proto__ is refused', async () => {
    const { host } = await installed()
    host.write(
      MANIFEST,
      host.read(MANIFEST).replace('"files": {', '"files": { "__proto__": { "owner": "x", "hash": "x" },'),
    )
    expect(() => readManifest(host.root)).toThrow('__proto__')
  })

  it('is read or refused, whatever JSON it holds', () => {
    const host = sampleHost({ [MANIFEST]: '' })
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        host.write(MANIFEST, text)
        expect(() => readManifest(host.root)).toThrow(GeneratorError)
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    ['files', { 'src/async': { owner: 'install', hash: '' } }, { code: 'FILE_UNREADABLE', where: 'src/async' }],
    ['settings', { dir: 'src/db.ts/x', client: 'src/db.ts#prisma' }, { code: 'DIR_IS_FILE', where: 'src/db.ts' }],
    ['settings', { dir: 'package.json', client: 'src/db.ts#prisma' }, { code: 'DIR_IS_FILE', where: 'package.json' }],
  ])('whose %s name a file where a folder is, or the reverse, is refused: %j', async (part, value, expected) => {
    const { host } = await installed()
    const manifest = JSON.parse(host.read(MANIFEST))
    host.write(MANIFEST, JSON.stringify({ ...manifest, [part]: value }))
    const before = host.hash()
    await expect(upgrade({ cwd: host.root })).rejects.toMatchObject(expected)
    await expect(destroy({ cwd: host.root, generator: 'install' })).rejects.toMatchObject(expected)
    expect(host.hash()).toBe(before)
  })

  it('leads to an error that says what to do, or to changes inside of the host, whatever one of its values is', async () => {
    const { host, outside } = await installed()
    const manifest = JSON.parse(host.read(MANIFEST))
    const texts = Object.fromEntries(host.files().map((path) => [path, host.read(path)]))
    const place = fc.constantFrom(...placesIn(manifest))
    await fc.assert(
      fc.asyncProperty(place, odd, fc.boolean(), async (place, value, asKey) => {
        for (const [path, text] of Object.entries(texts)) host.write(path, text)
        host.write(MANIFEST, JSON.stringify(changed(manifest, place, value, asKey)))
        const commands = [() => upgrade({ cwd: host.root }), () => destroy({ cwd: host.root, generator: 'install' })]
        for (const command of commands) {
          const error = await command().catch((caught) => caught)
          if (error instanceof Error) expect(error).toBeInstanceOf(GeneratorError)
        }
        expect(outside()).toEqual([PRECIOUS])
      }),
      { numRuns: 25 },
    )
  })
})

describe('the journal of an interrupted run', () => {
  const journal = (step: object, rest = {}) => ({ pid: 2 ** 30, ready: true, steps: [step], folders: [], ...rest })

  it.each([
    journal({ path: '../outside/precious.ts', temporary: null, before: hashOf(PRECIOUS) }),
    journal({ path: 'link/precious.ts', temporary: null, before: hashOf(PRECIOUS) }),
    journal({ path: 'x.ts', temporary: '../outside/precious.ts', before: null }, { ready: false }),
    journal({ path: 'x.ts', temporary: 'src/db.ts', before: null }),
    journal({ path: 'x.ts', temporary: './.y.ts.async-gen-1', before: null }),
    journal({ path: 'x.ts', temporary: './.x.ts.async-gen-1.ts', before: null }),
    journal({ path: 'x.ts', temporary: null, before: 7 }),
    journal({ path: 'x.ts', temporary: null, before: null }, { ready: 'yes' }),
    journal({ path: 'x.ts' }),
    { pid: 2 ** 30, ready: false, steps: [], folders: ['../outside'] },
    { pid: '1', ready: false, steps: [], folders: [] },
    [],
    7,
  ])('that is %j is refused, and nothing is touched', async (value) => {
    const { host, outside } = await installed()
    symlinkSync(join(host.root, '../outside'), join(host.root, 'link'))
    host.write(JOURNAL, JSON.stringify(value))
    const before = host.read('src/db.ts')
    await expect(host.run('install')).rejects.toMatchObject({ code: 'JOURNAL_INVALID' })
    expect(host.read('src/db.ts')).toBe(before)
    expect(outside()).toEqual([PRECIOUS])
  })

  it('that is empty stops the others for seconds only: its run had done nothing', async () => {
    const { host } = await installed()
    host.write(JOURNAL, '')
    await expect(host.run('install')).rejects.toMatchObject({ code: 'ALREADY_RUNNING' })
    const then = Date.now() / 1000 - 60
    utimesSync(join(host.root, JOURNAL), then, then)
    await host.run('install')
    expect(host.has(JOURNAL)).toBe(false)
  })

  it('is taken for one, or refused, whatever it holds, and touches nothing outside', async () => {
    const { host, outside } = await installed()
    const step = fc.record({
      path: odd,
      temporary: fc.oneof(odd, fc.constant(null)),
      before: fc.constantFrom(null, hashOf(PRECIOUS)),
    })
    const any = fc.record({
      pid: fc.oneof(fc.constant(2 ** 30), fc.jsonValue()),
      ready: fc.boolean(),
      steps: fc.array(step, { maxLength: 3 }),
      folders: fc.array(odd, { maxLength: 2 }),
    })
    fc.assert(
      fc.property(fc.oneof(any, fc.jsonValue()), (value) => {
        host.write(JOURNAL, JSON.stringify(value))
        try {
          const found = readJournal(host.root)
          if (found) recover(host.root, found)
        } catch (error) {
          expect(error).toBeInstanceOf(GeneratorError)
        }
        expect(outside()).toEqual([PRECIOUS])
      }),
      { numRuns: 1000, examples: [[{ pid: 2 ** 30, ready: true, steps: [IN_A_FILE], folders: [] }]] },
    )
  })
})

/** A host with toasts, and beside it a folder whose only file nobody may touch. */
async function installed(): Promise<{ host: SampleHost; outside: () => string[] }> {
  const parent = sampleHost()
  const inner = join(parent.root, 'host')
  const folder = join(parent.root, 'outside')
  for (const path of [inner, folder]) mkdirSync(path)
  writeFileSync(join(folder, 'precious.ts'), PRECIOUS)
  const host = sampleHost({}, { root: inner })
  await host.run('install')
  return { host, outside: () => readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8')) }
}

type Place = (string | number)[]

function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, each]) => [[key], ...placesIn(each).map((rest) => [key, ...rest])])
}

/** A copy in which one value is another, or its key is. */
function changed(value: object, [first, ...rest]: Place, to: unknown, asKey: boolean): object {
  const copy: Record<string, unknown> = { ...value }
  const key = String(first)
  if (rest.length > 0) copy[key] = changed(copy[key] as object, rest, to, asKey)
  else if (asKey) {
    copy[String(to)] = copy[key]
    delete copy[key]
  } else copy[key] = to
  return copy
}
