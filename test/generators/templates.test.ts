import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Emission, render, stage } from '../../generators/changes/stage.js'
import { attempt } from '../../generators/definitions/attempt.js'
import { dashboard } from '../../generators/definitions/dashboard.js'
import { deploy } from '../../generators/definitions/deploy.js'
import { FRAMEWORKS } from '../../generators/definitions/generator.js'
import { install } from '../../generators/definitions/install.js'
import { reports } from '../../generators/definitions/reports.js'
import type { Host } from '../../generators/host/inspect.js'
import { templates } from '../../generators/host/own-package.js'
import { packagedTemplate } from '../../generators/pipeline/templates.js'
import { SCHEMA } from './sample-host.js'

const answers = {
  urlVariables: ['DATABASE_URL'],
  dir: 'src/async',
  client: { path: 'src/db.ts', name: 'prisma' },
  names: [],
  generated: { attempts: ['Attempt', 'EmailAttempt'], reports: ['MonthlySales'] },
}

function emissions(esm: boolean): Emission[] {
  const host = {
    root: '/srv/shop',
    node: '22.18.0',
    packageJson: { text: '{}', packages: ['vitest'], ranges: {}, scripts: {} },
    testRunner: 'vitest',
    packageManager: { name: 'npm' },
    modules: { ext: '.js', dynamicExt: '.js', esm, options: {} },
    prisma: { version: '7.10.0', command: 'prisma', config: null },
    emitContract: null,
    emittedContract: null,
    schema: { files: [{ path: 'schema.prisma', text: SCHEMA }], names: [], schemas: [], previewFeatures: [] },
  } as unknown as Host
  return [
    ...install.emissions(host, { ...answers, invalidateOn: ['Order'] }),
    ...[null, '$()', 'new $()'].flatMap((access, i) =>
      install.emissions(host, {
        ...answers,
        dir: `src/async${i}`,
        clientSource: { path: 'src/make.ts', name: 'make', access, clientClass: '@prisma/client' },
      }),
    ),
    ...attempt.emissions(host, answers),
    ...attempt.emissions(host, { ...answers, names: ['EmailAttempt'], encrypted: true }),
    ...reports.emissions(host, { ...answers, names: ['MonthlySales'] }),
    ...FRAMEWORKS.flatMap((framework) =>
      dashboard.emissions(host, { ...answers, dir: `src/${framework}/async`, framework }),
    ),
    ...['systemd', 'docker', 'kubernetes', 'pm2', 'procfile'].flatMap((kind) =>
      deploy.emissions(host, { ...answers, names: [kind] }),
    ),
  ]
}

const files = readdirSync(templates, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.hbs'))
  .map((path) => path.replaceAll('\\', '/').slice(0, -'.hbs'.length))

describe('the templates', () => {
  it.each([true, false])('all render, and nothing of Handlebars is left (ES modules: %s)', (esm) => {
    const staged = stage(emissions(esm), packagedTemplate).filter((item) => 'text' in item)
    expect(staged.length).toBeGreaterThan(files.length)
    for (const { text } of staged) {
      expect(text).not.toMatch(/\{\{|\}\}/)
      expect(text).not.toContain('[object Object]')
      expect(text.endsWith('\n')).toBe(true)
    }
  })

  it('are each emitted by a generator', () => {
    const emitted = emissions(true).flatMap((emission) => ('template' in emission ? [emission.template] : []))
    expect(files.filter((file) => !emitted.includes(file))).toEqual([])
  })

  it('use no triple braces, which swallow a brace beside them', () => {
    for (const file of files) expect(readFileSync(join(templates, `${file}.hbs`), 'utf8'), file).not.toContain('{{{')
  })

  it('emit no path twice but the shared ones', () => {
    const paths = emissions(true).flatMap((emission) => (emission.kind === 'file' ? [emission.path] : []))
    // `install` is in the list once for each kind of client, in different folders.
    const inFolders = paths.filter((path) => path !== '.async-gen/.gitattributes')
    const twice = inFolders.filter((path, i) => inFolders.indexOf(path) !== i)
    expect(twice).toEqual(['src/async/targets.ts', 'src/async/schedule.ts'])
  })

  it('may name only what the context has', () => {
    expect(render('{{model}}', { model: 'Attempt' })).toBe('Attempt')
    expect(() => render('{{modle}}', { model: 'Attempt' })).toThrow(/modle/)
    expect(() => render('{{constructor}}', {})).toThrow(/constructor/)
  })
})
