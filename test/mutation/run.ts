// Changes the sources one place at a time, and runs the tests that run that place. Prints each change that no test notices.
//
//     npm run test:mutate                                                               the folders below
//     npm run test:mutate -- runtime/src/attempt/claim.ts                               one file or folder
//     npm run test:mutate -- runtime/src/attempt/claim.ts:12-20                         some lines
//     npm run test:mutate -- runtime/src/attempt/claim.ts test/runtime/order.test.ts    with the tests of one file
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { REPOSITORY } from '../support/host.js'
import { type Mutant, mutantsOf, switchable } from './mutants.js'
import type { MutationEvent } from './runner.js'
import { Tests } from './tests.js'

const FOLDERS = ['runtime/src/attempt', 'runtime/src/toast', 'generators/changes']

/** For how long one change is tried, in milliseconds. */
const LIMIT = 60_000

/** A change, and what the tests have made of it. */
interface TriedMutant extends Mutant {
  number: number
  file: string
  /** How many tests have run with it and passed. */
  passed: number
  /** The time that is left for it, in milliseconds. */
  left: number
  noticedBy?: string
}

const paths = process.argv.slice(2)
const files = filesOf(paths.filter((path) => !path.startsWith('test/')))
const named = paths.filter((path) => path.startsWith('test/'))
const sources = new Map(files.map(({ file }) => [file, readFileSync(join(REPOSITORY, file), 'utf8')]))
const mutants: TriedMutant[] = files
  .flatMap(({ file, from, to }) =>
    mutantsOf(sources.get(file)!, file)
      .filter(({ line }) => from <= line && line <= to)
      .map((mutant) => ({ ...mutant, file })),
  )
  .map((mutant, number) => ({ ...mutant, number, passed: 0, left: LIMIT }))

const tests = await Tests.start(new Map([...changeable()].map((file) => [join(REPOSITORY, file), textOf(file)])))
process.once('SIGINT', async () => {
  for (const event of tests.events) apply(event)
  report()
  await tests.stop()
  process.exit(130)
})
try {
  const specifications = await tests.files(named.length > 0 ? named : testFolders())
  for (const [i, specification] of specifications.entries()) {
    const alive = mutants.filter(({ noticedBy, left }) => !noticedBy && left > 0)
    console.log(`${i}/${specifications.length} ${relative(REPOSITORY, specification.moduleId)}: ${alive.length} left`)
    await tryAll(specification)
  }
} finally {
  await tests.stop()
}
report()
process.exit()

/** Prints what no test has noticed so far. */
function report(): void {
  const survivors = mutants.filter(({ noticedBy }) => !noticedBy)
  console.log(`\n${survivors.length} of ${mutants.length} changes are noticed by no test:\n`)
  for (const survivor of survivors) console.log(describe(survivor))
}

/** Runs a test file, and again if a mutant has ended or spoilt its process, until its tests are done. */
async function tryAll(specification: Awaited<ReturnType<Tests['files']>>[number]): Promise<void> {
  const done: string[] = []
  for (let isDone = false; !isDone; ) {
    const alive = mutants.filter(({ noticedBy, left }) => !noticedBy && left > 0)
    const events = alive.length > 0 ? await tests.run(specification, { mutants: alive, done }) : []
    for (const event of events) apply(event)
    done.push(...events.flatMap((event) => (event.kind === 'done' ? [event.test] : [])))
    const last = events.at(-1)
    if (last?.kind === 'begun') mutants[last.mutant]!.noticedBy = `the process of ${last.test} ended, or did not answer`
    isDone = last?.kind !== 'begun' && last?.kind !== 'spoilt'
  }
}

function apply(event: MutationEvent): void {
  if (event.kind === 'passed') {
    const mutant = mutants[event.mutant]!
    mutant.passed++
    mutant.left -= event.milliseconds
  } else if (event.kind === 'noticed') mutants[event.mutant]!.noticedBy = event.test
  else if (event.kind === 'unsound')
    console.log(`  left out, because it cannot be repeated: ${event.test}: ${event.message.split('\n')[0]}`)
}

function filesOf(paths: string[]): { file: string; from: number; to: number }[] {
  return (paths.length > 0 ? paths : FOLDERS).flatMap((path) => {
    const [, name, from, to = from] = /^(.*?)(?::(\d+)(?:-(\d+))?)?$/.exec(path)!
    const lines = { from: Number(from ?? 1), to: Number(to ?? Number.POSITIVE_INFINITY) }
    if (!statSync(join(REPOSITORY, name!)).isDirectory()) return [{ file: name!, ...lines }]
    const inFolder = readdirSync(join(REPOSITORY, name!), { recursive: true, encoding: 'utf8' })
    return inFolder.filter((file) => file.endsWith('.ts')).map((file) => ({ file: join(name!, file), ...lines }))
  })
}

/** The changed files, and those whose statements contain fragments of others: they are put together when they are sent. */
function changeable(): Set<string> {
  const folders = ['runtime/src/attempt/sql', 'runtime/src/toast/sql']
  return new Set([...sources.keys(), ...filesOf(folders).map(({ file }) => file)])
}

function textOf(file: string): string {
  const own = new Map(mutants.filter((mutant) => mutant.file === file).map((mutant) => [mutant.number, mutant]))
  return switchable(sources.get(file) ?? readFileSync(join(REPOSITORY, file), 'utf8'), file, own)
}

/** The folders of the tests that read the sources. The others run what is built. */
function testFolders(): string[] {
  const roots = new Set(files.map(({ file }) => file.split('/')[0]))
  return [...(roots.has('runtime') ? ['test/runtime/'] : []), ...(roots.has('generators') ? ['test/generators/'] : [])]
}

function describe({ file, line, start, end, text, passed, left }: TriedMutant): string {
  const was = sources.get(file)!.slice(start, end).replaceAll(/\s+/g, ' ')
  const short = was.length > 70 ? `${was.slice(0, 67)}...` : was
  const count = passed === 0 ? 'no test runs it' : `${passed} tests${left > 0 ? '' : ', then its time was over'}`
  return `${file}:${line}  ${short}  ->  ${text || '(removed)'}  (${count})`
}
