import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface RunOptions {
  env?: Record<string, string>
  /** Exit codes that are no error; 0 alone where it is not given. */
  exitCodes?: number[]
}

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a command to its end and returns what it said. One that fails throws with the command and all of its output. */
export function run(cwd: string, command: string, args: string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const env = command === 'npm' || command === 'sh' ? installerEnv(options.env) : childEnv(options.env)
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (code) => {
      if ((options.exitCodes ?? [0]).includes(code ?? -1)) return resolve({ code, stdout, stderr })
      reject(new Error(`${[command, ...args].join(' ')} (in ${cwd}) ended with ${code}\n${stdout}${stderr}`))
    })
  })
}

const SHORT_LIVED = fileURLToPath(new URL('short-lived.cjs', import.meta.url))

/** This process's environment without what a test runner or npm put there for themselves. */
export function childEnv(extra: Record<string, string> = {}) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(VITEST|NODE_ENV|NODE_OPTIONS|npm_package_|npm_lifecycle_)/.test(name),
  )
  return {
    ...Object.fromEntries(inherited),
    NODE_OPTIONS: `--require ${JSON.stringify(SHORT_LIVED)}`,
    // The compiler of TypeScript would collect garbage more often than so short a run needs.
    GOGC: '400',
    NO_COLOR: '1',
    FORCE_COLOR: '0',
    ...extra,
  }
}

/** For a command that may install packages. */
export function installerEnv(extra?: Record<string, string>) {
  const { TEST_CA_CERTS } = process.env
  return {
    ...childEnv(extra),
    ...(TEST_CA_CERTS && { NODE_EXTRA_CA_CERTS: TEST_CA_CERTS }),
    // What npm knows of a package since an earlier install, it need not ask again.
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
  }
}

/** Node.js reads additional certificates at each start, for longer than it needs to start. Of what the tests start, only installers need them. */
export function setCertificatesAside() {
  const { NODE_EXTRA_CA_CERTS } = process.env
  if (!NODE_EXTRA_CA_CERTS) return
  process.env.TEST_CA_CERTS = NODE_EXTRA_CA_CERTS
  delete process.env.NODE_EXTRA_CA_CERTS
}

/** Arguments for vitest in a host: vitest's own limits of 5 and 10 seconds are too short for a busy machine. */
export const SPEC_TIMEOUTS = ['--testTimeout=60000', '--hookTimeout=60000']

/** The same for a run that loads the application once, and not once for each file. The end-to-end test of a new host goes without. */
export const ONE_PROCESS = ['--no-isolate', '--maxWorkers=1']
