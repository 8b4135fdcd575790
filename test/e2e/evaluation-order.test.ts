import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { assembleHost, asyncGen, installHost, REPOSITORY } from '../support/host.js'
import { createDatabase, query } from '../support/postgres.js'
import { prisma } from '../support/prisma.js'
import { run } from '../support/run.js'
import { applyEdit, closeStages, playScene } from '../support/team.js'
import { startWorker, type WorkerProcess } from '../support/worker.js'

const listed = {
  file: 'src/async/targets.ts',
  changes: [
    [
      `import { defineTargets } from '@async-gen/runtime'\n`,
      `import { defineTargets } from '@async-gen/runtime'
import { Audit } from '../audit.js'
import { Billing } from '../billing.js'\n`,
    ],
    ['  // OrderClient,\n', '  Audit,\n  Billing,\n'],
  ] as [string, string][],
}

describe('a host with two models of attempts, a subclass, and targets that record calls', () => {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-order-'))
  let env: { DATABASE_URL: string }
  let worker: WorkerProcess | undefined

  beforeAll(async () => {
    env = { DATABASE_URL: await createDatabase(inject('postgres')) }
    assembleHost('single', dir)
    await installHost(dir)
    for (const args of [['install'], ['attempt'], ['attempt', 'AccountAttempt']]) await asyncGen(dir, args)
    cpSync(join(REPOSITORY, 'test', 'hosts', 'two-attempts'), dir, { recursive: true })
    applyEdit(dir, listed)
    await prisma(dir, ['generate'], { env })
    await prisma(dir, ['migrate', 'deploy'], { env })
  }, 600_000)

  afterAll(async () => {
    await closeStages()
    await worker?.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  it('loads the generators into its plopfile by the name that the guide gives', async () => {
    writeFileSync(join(dir, 'plopfile.mjs'), "export default (plop) => plop.load('async-gen/plopfile')\n")
    const list = `import nodePlop from 'node-plop'
const plop = await nodePlop('plopfile.mjs')
console.log(plop.getGeneratorList().map(({ name }) => name).join())`
    const { stdout } = await run(dir, process.execPath, ['--input-type=module', '--eval', list])
    expect(stdout).toBe('install,attempt,reports,dashboard,deploy\n')
  })

  it('compiles', async () => {
    await run(dir, join(dir, 'node_modules/.bin/tsc'), ['--noEmit', '--strict', '--singleThreaded'])
  })

  it('loads its ES modules in any order', async () => {
    expect(await failuresOf(dir, await copiesOf(dir, 'esm'))).toEqual([])
  }, 600_000)

  it('loads its CommonJS modules in any order', async () => {
    expect(await failuresOf(dir, await copiesOf(dir, 'cjs'))).toEqual([])
  }, 600_000)

  it('loads a bundle of its modules in any order', async () => {
    expect(await failuresOf(dir, await bundlesOf(dir))).toEqual([])
  }, 600_000)

  it('runs the calls of both models and of the subclass in the worker', async () => {
    const { attempt } = await playScene(dir, env, 'charge')
    worker = startWorker(dir, env)
    const results = await eventually('the three calls', async () => {
      const rows = await query(
        env.DATABASE_URL,
        `SELECT id::int, type, status::text, result FROM attempts
         UNION ALL SELECT NULL, type, status::text, result FROM account_attempts ORDER BY 1`,
      )
      return rows.length === 3 && rows.every(({ status }) => status === 'succeeded') && rows
    }).catch((error: Error) => {
      throw new Error(`${error.message} The worker's log:\n${worker?.log()}`)
    })
    expect(results).toEqual([
      { id: attempt, type: null, status: 'succeeded', result: 'charged' },
      { id: attempt + 1, type: 'UrgentAttempt', status: 'succeeded', result: 'Audit urgent 7' },
      { id: null, type: null, status: 'succeeded', result: 'Audit account 7' },
    ])
  }, 180_000)
})

/** Every module that was emitted, and every target; not the worker, which would run, nor the specs. */
function modulesOf(dir: string): string[] {
  const files = readdirSync(join(dir, 'src'), { recursive: true, encoding: 'utf8' })
  const odd = /^(generated|scenes|async[\\/]test)[\\/]|worker\.ts$|factory\.ts$|newsletter|order-client/
  return files.filter((file) => file.endsWith('.ts') && !odd.test(file)).sort()
}

/**
 * Lists in which each module is the first one, and each other one follows, with everything or with nothing loaded before it. A cycle of
 * imports is evaluated as a whole, so what matters is by which of its modules it is entered, and what has been defined until then.
 */
function ordersOf(modules: string[]): string[][] {
  return modules.flatMap((first) => {
    const others = modules.filter((each) => each !== first)
    return [
      [first, ...others],
      [first, ...others.toReversed()],
    ]
  })
}

/** A copy of the compiled modules for each order, so that one process can load them all; the Prisma client is shared. */
async function copiesOf(dir: string, format: 'esm' | 'cjs'): Promise<string[][]> {
  const out = join(dir, `out-${format}`)
  const compiled = join(out, 'compiled')
  const sources = [
    ...modulesOf(dir),
    ...readdirSync(join(dir, 'src', 'generated'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join('generated', file)),
  ]
  await build({
    entryPoints: sources.map((file) => join(dir, 'src', file)),
    outbase: join(dir, 'src'),
    outdir: compiled,
    format,
    platform: 'node',
    ...(format === 'cjs' && {
      // As `tsc` compiles `import()` for CommonJS.
      supported: { 'dynamic-import': false },
      define: { 'import.meta.url': 'fileUrl' },
      banner: { js: `const fileUrl = require('node:url').pathToFileURL(__filename).href` },
    }),
  })
  writeFileSync(join(out, 'package.json'), JSON.stringify({ type: format === 'esm' ? 'module' : 'commonjs' }))
  const generated = join(compiled, 'generated')
  return ordersOf(modulesOf(dir)).map((order, i) => {
    const copy = join(out, `${i}`)
    cpSync(compiled, copy, { recursive: true, filter: (path) => path !== generated })
    symlinkSync(generated, join(copy, 'generated'))
    return order.map((file) => join(copy, file.replace(/\.ts$/, '.js')))
  })
}

/** A bundle for each order, which loads the modules in it. */
async function bundlesOf(dir: string): Promise<string[][]> {
  const out = join(dir, 'out-bundled')
  const client = join(dir, 'out-esm', 'compiled', 'generated', 'prisma', 'client.js')
  const bundles = ordersOf(modulesOf(dir)).map(async (order, i) => {
    const outfile = join(
      out,
      `${i}`,
      `${order
        .slice(0, 2)
        .map((file) => basename(file, '.ts'))
        .join('-')}.mjs`,
    )
    await build({
      stdin: { contents: order.map((file) => `import './src/${file}'`).join('\n'), resolveDir: dir },
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
      plugins: [
        {
          name: 'one Prisma client for all bundles',
          setup: ({ onResolve }) =>
            onResolve({ filter: /generated\/prisma\/client/ }, () => ({ path: client, external: true })),
        },
      ],
    })
    return [outfile]
  })
  return await Promise.all(bundles)
}

async function failuresOf(dir: string, lists: string[][]): Promise<string[]> {
  expect(lists.length).toBeGreaterThan(20)
  mkdirSync(join(dir, 'lists'), { recursive: true })
  const file = join(dir, 'lists', 'lists.json')
  writeFileSync(file, JSON.stringify(lists))
  const env = { DATABASE_URL: 'postgresql://nobody@localhost:1/none' }
  const { stdout } = await run(dir, process.execPath, ['import-pairs.mjs', file], { env })
  return (JSON.parse(stdout) as string[]).map((failure) => relative(dir, failure))
}
