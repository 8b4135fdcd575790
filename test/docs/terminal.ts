import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { childEnv, installerEnv } from '../support/run.js'
import { comparable } from './output.js'

export interface TerminalProcess {
  /** What it has printed so far, as a reader sees it. */
  output: () => string
  /** Resolves with the exit code. */
  exited: Promise<number | null>
  /** Presses Ctrl-C, and waits for the end. */
  interrupt: () => Promise<number | null>
}

/** Runs a shell command in a terminal of its own, in colours that the comparison leaves out. */
export function startInTerminal(dir: string, command: string, env: Record<string, string>): TerminalProcess {
  // `script` gives it a terminal; what is written to the standard input of `script` is typed there.
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    cwd: dir,
    // In a terminal nothing of this run's own database is known: the application has its .env.
    env: { ...(/\bnpm install\b/.test(command) ? installerEnv(env) : childEnv(env)), TERM: 'xterm', COLUMNS: '200' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (printed: string) => {
    text += printed
  })
  const exited = once(child, 'close').then(() => child.exitCode)
  const interrupt = async () => {
    if (child.exitCode === null) child.stdin.write('\u0003')
    return await exited
  }
  return { output: () => comparable(text), exited, interrupt }
}
