// `npm run bench`: installs the peers, builds the project, and runs bench/main.ts with the Node.js that is one of the peers.
import { spawnSync } from 'node:child_process'

const bench = (path) => new URL(path, import.meta.url).pathname

// The runtime checks more outside of production. tsx would add code of its own to the sources of the runtime.
const production = { ...process.env, NODE_ENV: 'production', TSX_TSCONFIG_PATH: bench('tsconfig.built.json') }

step('npm', ['install', '--prefix', bench('peers'), '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'])
if (!process.env.BENCH_PREPARED) step('npm', ['run', '--silent', 'test:prepare'])
step(
  bench('peers/node_modules/node/bin/node'),
  ['--import', 'tsx', '--import', bench('peers/resolve.mjs'), bench('main.ts'), ...process.argv.slice(2)],
  production,
)

function step(command, args, env = process.env) {
  const { status } = spawnSync(command, args, { stdio: 'inherit', env })
  if (status !== 0) process.exit(status ?? 1)
}
