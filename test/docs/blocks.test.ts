import { get_dmmf } from '@prisma/prisma-schema-wasm'
import { transform } from 'esbuild'
import { parseCrontab } from 'graphile-worker'
import { describe, expect, inject, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { commandLine } from '../../bin/commands.js'
import { parseCommandLine } from '../../runtime/src/bin/usage.js'
import { testDatabase } from '../support/database.js'
import { createDatabase, query } from '../support/postgres.js'
import { codeBlocks } from './blocks.js'
import { documentedCommands } from './commands.js'
import { compileErrors, framework, runErrors, shop, shopWithPages } from './compile.js'
import { fileOf } from './guide.js'

const blocks = (...languages: string[]) => codeBlocks().filter((block) => languages.includes(block.language))
const code = blocks('ts', 'tsx')

/** Pages that show an application of a framework. Those of the other pages are parts of the shop. */
const FRAMEWORKS: Record<string, ReturnType<typeof framework>> = {
  'docs/dashboard.md': shopWithPages,
  'docs/generators.md': framework('nextjs'),
  'docs/nestjs.md': framework('nestjs'),
  'docs/nextjs.md': framework('nextjs'),
}
/** guides.test.ts makes the application of these, and compiles it. */
const FOLLOWED = ['docs/start.md', 'docs/testing.md', 'docs/express.md']
/** Pages whose blocks run in the shop. */
const RUN = ['README.md', 'docs/attempts.md', 'docs/toasts.md', 'docs/reports.md', 'docs/flow.md']
const compiledBlocks = code.filter(({ page, exempt }) => !exempt && !FOLLOWED.includes(page))

const commandsOf = (name: string) => documentedCommands().filter(({ program }) => program === name)
const generatorCommands = commandsOf('async-gen')
const workerCommands = commandsOf('async-gen-worker')

describe('the code blocks of the README and the guides', () => {
  it.each(code.filter(({ exempt }) => exempt))('$at is TypeScript without syntax errors', async ({ at, text }) => {
    const options = { loader: 'tsx', sourcefile: at, logLevel: 'silent' } as const
    await expect(transform(text, options), `Write the block at ${at} so that it parses`).resolves.toBeDefined()
  })

  const hint = 'Correct the block, or declare the names that it uses in a prelude.ts of test/docs/host'

  it('are TypeScript that compiles under strict, in the shop', async () => {
    expect(
      await compileErrors(
        compiledBlocks.filter(({ page }) => !(page in FRAMEWORKS)),
        shop,
      ),
      hint,
    ).toEqual([])
  })

  it.each(Object.entries(FRAMEWORKS))('%s: its TypeScript compiles under strict', async (page, host) => {
    const errors = await compileErrors(
      compiledBlocks.filter((block) => block.page === page),
      host,
    )
    expect(errors, hint).toEqual([])
  })

  it('run beside a worker, where they are whole statements', async () => {
    const statements = code.filter(
      ({ page, exempt, notRun, text }) => RUN.includes(page) && !exempt && !notRun && !fileOf(text),
    )
    const url = await createDatabase(inject('postgres'), { template: 'template' })
    const errors = await runErrors(statements, { DATABASE_URL: url, NODE_ENV: 'production' })
    expect(errors, 'Correct the block, or give it a value that it uses in test/docs/host/values.ts').toEqual([])
  })

  it.each(blocks('crontab'))('$at is a crontab that Graphile Worker accepts', ({ text }) => {
    expect(parseCrontab(text).length).toBeGreaterThan(0)
  })

  it.each(blocks('sql'))('$at is SQL that the migrated database accepts', async ({ text }) => {
    const url = await testDatabase()
    // Several statements in one query are one transaction, which the ROLLBACK undoes.
    await query(url, `BEGIN; ${text}; ROLLBACK`)
  })

  it.each([...blocks('json'), ...blocks('jsonc')])('$at is JSON', ({ text }) => {
    expect(() => JSON.parse(text)).not.toThrow()
  })

  it.skipIf(blocks('yaml', 'yml').length === 0)('YAML blocks have no errors', () => {
    for (const { at, text } of blocks('yaml', 'yml'))
      expect(
        parseAllDocuments(text).flatMap(({ errors }) => errors),
        at,
      ).toEqual([])
  })

  it.skipIf(blocks('prisma').length === 0)('Prisma blocks are valid in a schema', () => {
    for (const { at, text } of blocks('prisma')) {
      const datasource = /^datasource /m.test(text) ? '' : 'datasource db {\n  provider = "postgresql"\n}\n'
      const schema = JSON.stringify({ prismaSchema: [[at, datasource + text]] })
      expect(() => get_dmmf(schema), at).not.toThrow()
    }
  })
})

describe('the commands in the README and the guides', () => {
  it('are found', () => {
    expect(generatorCommands.length).toBeGreaterThan(15)
    expect(workerCommands.length).toBeGreaterThan(5)
  })

  it.each(generatorCommands)('$at is a command line that async-gen accepts', async ({ args }) => {
    const program = commandLine('0.0.0', async () => {})
    for (const command of [program, ...program.commands]) command.exitOverride().configureOutput({ writeErr: () => {} })
    await program.parseAsync(args, { from: 'user' })
  })
  it.each(workerCommands)('$at is a command line that async-gen-worker accepts', ({ args }) => {
    expect(parseCommandLine(args, '0.0.0')).toBeDefined()
  })
})
