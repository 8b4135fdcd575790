// `npm run bench -- attempts`: installs the peers, builds the project, and runs bench/<name>.ts.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const [name] = process.argv.slice(2)
const file = `bench/${name}.ts`
if (!name || !existsSync(file)) {
  console.error('Which one? npm run bench -- attempts | toasts | growth')
  process.exit(2)
}
step('npm', ['install', '--prefix', 'bench', '--no-audit', '--no-fund', '--no-package-lock'])
step('npm', ['run', '--silent', 'test:prepare'])
step(process.execPath, ['--import', 'tsx', file])

function step(command, args) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
