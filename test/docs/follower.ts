import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { prismaEnv } from '../support/prisma.js'
import { type Step, stepsOf } from './guide.js'
import { outputPattern } from './output.js'
import { startInTerminal, type TerminalProcess } from './terminal.js'

/** What differs on this machine from what the guide says. */
export interface Substitutes {
  /** What is done in place of the commands that begin so. */
  commands: Record<string, () => unknown>
  /** Text of files and commands, and what takes its place. */
  texts: Record<string, string>
}

/** Commands that keep running, each in a terminal of its own. */
const SERVICES = /^(npm run async:worker|npx tsx src\/server\.ts)$/

/** Commands that only look, and may look again until the worker has done its part. */
const LOOKS = /^(npx tsx src\/(read|show)-|curl localhost)/

/** The exit code of curl. */
const CONNECTION_REFUSED = 7

const QUIET_NPM = {
  npm_config_prefer_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
  npm_config_progress: 'false',
}

const { devDependencies } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'))

/** `npm install prisma@7` in the version that this repository is tested with: a release of tomorrow is no fault of the guide. */
function pinned(command: string): string {
  if (!command.startsWith('npm install ')) return command
  return command.replace(/(?<= )(@?[a-z][\w/-]*)(@\d+)?(?= |$)/g, (given, name) =>
    Object.hasOwn(devDependencies, name) ? `${name}@${devDependencies[name]}` : given,
  )
}

/** `npx tsx src/server.ts` without npm, which takes longer to find an installed program than most programs need. */
function withoutNpx(command: string): string {
  return command.replaceAll(/(^|&& )npx (?=(tsx|prisma|tsc|vitest|async-gen)\b)/g, '$1node_modules/.bin/')
}

/** Does what a guide says, step by step, as its reader would. */
export class Follower {
  readonly #services = new Map<string, TerminalProcess>()

  /** Where commands run: `cd` changes it. */
  dir: string
  /** What `export` adds to. */
  readonly env: Record<string, string> = {}

  constructor(dir: string) {
    this.dir = dir
  }

  /** Throws at the first step whose command fails, or prints something else than the guide shows. */
  async follow(page: string, substitutes: Substitutes) {
    for (const step of stepsOf(page)) {
      try {
        await this.#take(step, substitutes)
      } catch (error) {
        throw new Error(`${step.at}: ${(error as Error).message}`)
      }
    }
  }

  async #take(step: Step, { commands, texts }: Substitutes) {
    const here = (text: string) =>
      Object.entries(texts).reduce((result, [from, to]) => result.replaceAll(from, to), text)
    if (step.kind === 'file' && step.adds) appendFileSync(join(this.dir, step.path), `\n${here(step.text)}`)
    else if (step.kind === 'file') this.write(step.path, here(step.text))
    else if (step.kind === 'log') await this.#awaitLog('npm run async:worker', step.output)
    else {
      const instead = Object.keys(commands).find((start) => step.command.startsWith(start))
      if (instead) await commands[instead]!()
      else await this.#enter(pinned(here(step.command)), step.output)
    }
  }

  async #enter(command: string, output?: string) {
    if (!SERVICES.test(command)) {
      await this.run(command, output)
      return
    }
    await this.start(command)
    if (output) await this.#awaitLog(command, output)
  }

  write(path: string, text: string) {
    mkdirSync(dirname(join(this.dir, path)), { recursive: true })
    writeFileSync(join(this.dir, path), text)
  }

  /** Runs a command to its end, and compares what it prints with what is expected. */
  async run(command: string, expected?: string): Promise<string> {
    const exported = /^export (\w+)="(.*)"$/.exec(command)
    if (exported) {
      this.env[exported[1]!] = exported[2]!
      return ''
    }
    const output = await this.#runUntil(expected, command)
    const into = /&& cd (\w+)$/.exec(command)
    if (into) this.dir = join(this.dir, into[1]!)
    return output
  }

  /** Runs a command, again where it only looks, until it prints what is expected. */
  async #runUntil(expected: string | undefined, command: string) {
    const pattern = expected && new RegExp(`^${outputPattern(expected).source}$`)
    let printed = ''
    const found = async () => {
      const { exited, output } = startInTerminal(this.dir, withoutNpx(command), this.#env())
      const code = await exited
      printed = output()
      // The server is starting.
      if (command.startsWith('curl') && code === CONNECTION_REFUSED) return false
      if (code !== 0) throw new Error(`${command} ended with ${code}:\n${printed}`)
      if (!pattern || pattern.test(printed)) return true
      if (LOOKS.test(command) && !expected.includes('not yet')) return false
      throw new Error(`Expected ${command} to print\n${expected}`)
    }
    await eventually(`${command} to print\n${expected}\n`, found, 60_000).catch((error: Error) => {
      const services = [...this.#services].map(([name, { output }]) => `${name} printed\n${output()}`)
      throw new Error([`${error.message}\nIt printed\n${printed}`, ...services].join('\n'))
    })
    return printed
  }

  /** Starts a command that keeps running, in place of the one that runs. */
  async start(command: string) {
    await this.stop(command)
    this.#services.set(command, startInTerminal(this.dir, withoutNpx(command), this.#env()))
  }

  /** Presses Ctrl-C, and returns the exit code. */
  async stop(command: string) {
    const service = this.#services.get(command)
    this.#services.delete(command)
    return await service?.interrupt()
  }

  async stopAll() {
    for (const command of this.#services.keys()) await this.stop(command)
  }

  async #awaitLog(command: string, expected: string) {
    const pattern = outputPattern(expected)
    const output = this.#services.get(command)!.output
    await eventually(`${command} to print\n${expected}\n`, async () => pattern.test(output())).catch((error: Error) => {
      throw new Error(`${error.message}\nIt printed\n${output()}`)
    })
  }

  #env() {
    return { ...prismaEnv, ...QUIET_NPM, ...this.env }
  }
}
