// `npm run test:matrix -- node-24 postgres-14`: the tests with other versions of Node, PostgreSQL, Graphile Worker and vitest, each in a
// copy of this repository. Without names, all of them. `npm run test:matrix -- node-24 test/runtime/limits.test.ts`: only that file.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { REPOSITORY } from '../support/host.js'
import { ENVIRONMENTS, type Environment } from './environments.js'

const given = process.argv.slice(2)
const files = given.filter((argument) => argument.includes('/'))
const names = given.filter((argument) => !files.includes(argument))
const results = chosen(names).map((environment) => ({ name: environment.name, hasPassed: test(environment) }))
for (const { name, hasPassed } of results) console.log(`${name.padEnd(14)} ${hasPassed ? 'passed' : 'failed'}`)
process.exitCode = results.every(({ hasPassed }) => hasPassed) ? 0 : 1

function chosen(names: string[]): readonly Environment[] {
  const unknown = names.find((name) => !ENVIRONMENTS.some((environment) => environment.name === name))
  if (unknown !== undefined) {
    console.error(`There is no "${unknown}". There are: ${ENVIRONMENTS.map(({ name }) => name).join(', ')}.`)
    process.exit(2)
  }
  return names.length === 0 ? ENVIRONMENTS : ENVIRONMENTS.filter(({ name }) => names.includes(name))
}

function test({ name, node, packages = {}, tests }: Environment): boolean {
  const dir = mkdtempSync(join(tmpdir(), `async-gen-${name}-`))
  // As root, PostgreSQL runs as another user, who has to find its programs here.
  chmodSync(dir, 0o755)
  try {
    copyRepository(dir)
    replacePackages(join(dir, 'package.json'), packages)
    const PATH = node === undefined ? process.env.PATH : [installNode(dir, node), process.env.PATH].join(delimiter)
    const run = (command: string, args: string[]) =>
      spawnSync(command, args, { cwd: dir, env: { ...process.env, PATH }, stdio: 'inherit' }).status === 0
    console.log(`\n${name}`)
    return (
      run('node', ['--version']) &&
      run('npm', ['install', '--no-audit', '--no-fund']) &&
      run('npm', ['run', '--silent', 'test:prepare']) &&
      run('npx', ['vitest', 'run', ...(files.length > 0 ? files : tests)])
    )
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function copyRepository(dir: string): void {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: REPOSITORY,
    encoding: 'utf8',
  })
  for (const file of listed.split('\0').filter(Boolean)) cpSync(join(REPOSITORY, file), join(dir, file))
}

/** The packages of the runtime get the same versions. */
function replacePackages(file: string, packages: Record<string, string>): void {
  const contents = JSON.parse(readFileSync(file, 'utf8'))
  Object.assign(contents.devDependencies, packages)
  contents.overrides = { ...contents.overrides, ...packages }
  writeFileSync(file, `${JSON.stringify(contents, null, 2)}\n`)
}

/** Returns the folder of the binary. */
function installNode(dir: string, version: string): string {
  const prefix = join(dir, '.node')
  execFileSync('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', `node@${version}`], {
    stdio: 'ignore',
  })
  return join(prefix, 'node_modules', 'node', 'bin')
}
