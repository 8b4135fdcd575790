import { copyFileSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { APP, asyncGen, REPOSITORY } from '../support/host.js'
import { prisma } from '../support/prisma.js'
import { run } from '../support/run.js'
import { startWorker } from '../support/worker.js'
import type { Block } from './blocks.js'
import { fileOf } from './guide.js'

/** What stands around the blocks: names that they use without importing them, and the settings of a framework. */
const HOST = join(REPOSITORY, 'test', 'docs', 'host')

const TSC = join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc')

/** Where the blocks of a page are compiled. */
interface Host {
  make: (dir: string, blocks: Block[]) => Promise<void>
  /** A file that keeps the text of the host, as other blocks need more of it than a block shows. */
  keeps: string
}

/**
 * Compiles blocks as parts of one application, and returns each error with its place in the guide.
 *
 * A block that begins with `// src/file.ts` is that file, so the blocks import each other. Where a later block is the same file,
 * everything is compiled again with it.
 */
export async function compileErrors(blocks: Block[], { make, keeps }: Host) {
  // Inside the repository, so that it finds its packages there; beside test/.app, and ignored like it.
  const dir = `${APP}-docs-${process.pid}-${blocks[0]!.at.replace(/\W/g, '-')}`
  mkdirSync(dir)
  try {
    await make(dir, blocks)
    const errors = new Set<string>()
    for (const version of versionsOf(blocks, keeps)) {
      const places = new Map(version.map((block) => [pathOf(block, keeps), block]))
      for (const [path, { text }] of places) write(dir, path, `${text}\nexport {}\n`)
      for (const error of await tsc(dir)) errors.add(inGuide(error, places))
    }
    return [...errors]
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** test/.app, the shop with everything generated, for pages that show parts of one application. */
async function makeShop(dir: string) {
  const specs = join(APP, 'src', 'async', 'test')
  cpSync(join(APP, 'src'), join(dir, 'src'), { recursive: true, filter: (path) => path !== specs })
  copyFileSync(join(APP, 'package.json'), join(dir, 'package.json'))
  copyFileSync(join(HOST, 'prelude.ts'), join(dir, 'prelude.ts'))
  copyFileSync(join(HOST, 'records.ts'), join(dir, 'src', 'records.ts'))
  for (const file of ['mailer.ts', 'shopify.ts']) copyFileSync(join(HOST, file), join(dir, 'src', file))
  copyFileSync(join(HOST, 'monthly_sales.ts'), join(dir, 'src', 'async', 'reports', 'monthly_sales.ts'))
  copyFileSync(join(HOST, 'urgent_attempt.ts'), join(dir, 'src', 'async', 'urgent_attempt.ts'))
  copyFileSync(join(HOST, 'targets.ts'), join(dir, 'src', 'async', 'targets.ts'))
  write(dir, 'tsconfig.json', JSON.stringify({ ...SHOP_SETTINGS, include: ['**/*.ts'] }))
}

export const shop: Host = { make: makeShop, keeps: 'src/async/targets.ts' }

/** The shop with pages that a browser runs. */
export const shopWithPages: Host = {
  make: async (dir) => {
    await makeShop(dir)
    copyFileSync(join(HOST, 'session.ts'), join(dir, 'src', 'session.ts'))
    copyFileSync(join(HOST, 'toasts.ts'), join(dir, 'src', 'async', 'toasts.ts'))
    write(dir, 'src/prisma.ts', "export { prisma } from './db.js'\n")
    const { compilerOptions } = SHOP_SETTINGS
    const options = { ...compilerOptions, jsx: 'react-jsx', lib: ['es2023', 'dom', 'dom.iterable'] }
    write(
      dir,
      'tsconfig.json',
      JSON.stringify({ ...SHOP_SETTINGS, compilerOptions: options, include: ['**/*.ts', '**/*.tsx'] }),
    )
  },
  keeps: '',
}

const SHOP_SETTINGS = {
  extends: join(APP, 'tsconfig.json'),
  compilerOptions: { declaration: false, declarationMap: false },
}

/** An application of a framework: what its own command makes, the client that the page shows, and what the generators write. */
export function framework(name: 'nestjs' | 'nextjs'): Host {
  const make: Host['make'] = async (dir, blocks) => {
    cpSync(join(HOST, name), dir, { recursive: true })
    write(dir, 'prisma/schema.prisma', '')
    // The repository ends here, for a formatter: Biome would be started for each file.
    mkdirSync(join(dir, '.git'))
    copyFileSync(join(HOST, 'schema.prisma'), join(dir, 'prisma', 'schema.prisma'))
    const clients = blocks.filter((block) => /prisma(\.service)?\.ts$/.test(fileOf(block.text) ?? ''))
    for (const client of clients) write(dir, fileOf(client.text)!, client.text)
    for (const generator of ['install', 'attempt']) await asyncGen(dir, [generator, '--yes'])
    const targets = join(dir, 'targets.ts')
    if (existsSync(targets)) renameSync(targets, join(dir, 'src', 'async', 'targets.ts'))
    await prisma(dir, ['generate'])
  }
  return { make, keeps: '' }
}

/** The blocks as a reader has them in turn: a file that is shown again takes the place of the earlier one. */
function versionsOf(blocks: Block[], keeps: string): Block[][] {
  const versions: Block[][] = []
  for (const block of blocks) {
    const version = versions.find((those) => !those.some((other) => pathOf(other, keeps) === pathOf(block, keeps)))
    if (version) version.push(block)
    else versions.push([block])
  }
  return versions
}

function pathOf({ at, language, text }: Block, keeps: string) {
  const file = fileOf(text)
  const name = at.replace(/\W/g, '-')
  // Beside that file, so that it imports the same.
  if (file === keeps) return file.replace('.ts', `-${name}.ts`)
  return file ?? `${name}.${language === 'tsx' ? 'tsx' : 'ts'}`
}

function write(dir: string, path: string, text: string) {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), text)
}

async function tsc(dir: string) {
  const { stdout } = await run(dir, process.execPath, [TSC, '--pretty', 'false', '--singleThreaded'], {
    exitCodes: [0, 1, 2],
  })
  return stdout.split('\n').filter(Boolean)
}

/** `src/async/toasts.ts(2,5): error …` becomes `docs/toasts.md:41: error …`. */
function inGuide(line: string, places: Map<string, Block>) {
  return line.replace(/^([^()\s]+)\((\d+),\d+\)/, (place, path, row) => {
    const block = places.get(path)
    if (!block) return place
    const [file, first] = block.at.split(':')
    return `${file}:${Number(first) + Number(row) - 1}`
  })
}

/**
 * Runs blocks that are whole statements in the shop, beside a worker, and returns what they throw, each with its place in
 * the guide.
 */
export async function runErrors(blocks: Block[], env: Record<string, string>): Promise<string[]> {
  const dir = `${APP}-docs-run-${process.pid}`
  mkdirSync(dir)
  await makeShop(dir)
  for (const file of ['values.ts', 'run.ts']) copyFileSync(join(HOST, file), join(dir, file))
  const places = new Map(blocks.map((block) => [pathOf(block, ''), block]))
  for (const [path, { text }] of places) write(dir, path, `${text}\nexport {}\n`)
  const worker = startWorker(dir, env)
  try {
    const { stdout } = await run(dir, process.execPath, ['--import', 'tsx', 'run.ts', ...places.keys()], { env })
    return stdout
      .split('\n')
      .filter((line) => line.startsWith('{"file"'))
      .map((line) => JSON.parse(line))
      .map(({ file, error }) => `${places.get(file)!.at}: ${error}`)
  } finally {
    await worker.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}
