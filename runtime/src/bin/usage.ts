import { type ParseArgsConfig, parseArgs } from 'node:util'
import { nearest } from '../core/nearest.js'
import {
  ATTEMPTS_DETAILS,
  ATTEMPTS_FLAGS,
  type ParsedSubcommand,
  parseSubcommand,
  SUBCOMMANDS,
} from './attempts/usage.js'
import { FLAGS, type FlagName, type Flags } from './flags.js'

interface Usage {
  summary: string
  /** More help than the summary. */
  details?: string
  /** Whether it takes the path of a worker module. */
  takesModule: boolean
  /** Whether it has subcommands. */
  hasSubcommands?: boolean
  flags: readonly FlagName[]
  examples: readonly string[]
}

const FOR_WORKERS = ['concurrency', 'sleep', 'health', 'log'] as const
const FOR_DAEMONS = ['uid', 'pid-dir', 'log-dir', 'timeout', 'json'] as const

export const COMMANDS = {
  run: {
    summary: 'runs a worker in the foreground until Ctrl-C or SIGTERM',
    takesModule: true,
    flags: ['once', ...FOR_WORKERS],
    examples: ['run', 'run --once', 'run dist/async/worker.js --concurrency 20 --health 9394'],
  },
  start: {
    summary: 'starts a worker in the background; each start adds one more, or --count more',
    details:
      'A worker gets the lowest free number, unless --uid names it. If the worker of that --uid already runs, nothing is started\n' +
      'and the exit code is 4. For a fixed number of workers, use `restart --count`.',
    takesModule: true,
    flags: ['count', ...FOR_DAEMONS, ...FOR_WORKERS],
    examples: ['start', 'start --count 3', 'start src/async/worker-mail.ts --uid mail --concurrency 2'],
  },
  stop: {
    summary: 'stops all workers, or one, and waits until their running jobs have ended',
    takesModule: false,
    flags: FOR_DAEMONS,
    examples: ['stop', 'stop --uid mail', 'stop --timeout 120'],
  },
  restart: {
    summary: 'stops workers and starts them again with the same settings, one after the other',
    details: 'With --count, exactly that many workers run afterwards, numbered from 1.',
    takesModule: true,
    flags: ['count', ...FOR_DAEMONS, ...FOR_WORKERS],
    examples: ['restart', 'restart --uid 2 --concurrency 20', 'restart --count 4'],
  },
  status: {
    summary:
      'lists the workers that were started here, those that are alive in the database, the pauses and the limits',
    details:
      'The exit code is 3 if a worker that `start` began in this folder does not run, or if none was started: workers that run otherwise do\n' +
      'not count. The exit code is 0 although the database cannot be read: a line, and `problem` in the JSON, says why.',
    takesModule: false,
    flags: FOR_DAEMONS,
    examples: ['status', 'status --json'],
  },
  clear: {
    summary: 'removes waiting refreshes of toasts, reports and cached functions from the queue; attempts stay',
    takesModule: true,
    flags: ['json'],
    examples: ['clear', 'clear src/async/worker.ts'],
  },
  schedule: {
    summary: 'lists the schedules, with their last and next occurrences',
    takesModule: true,
    flags: ['json'],
    examples: ['schedule', 'schedule --json'],
  },
  dashboard: {
    summary: 'shows the dashboard on this machine, for development, until Ctrl-C or SIGTERM',
    details: 'To mount it in your application, for your team and in production: npx async-gen dashboard',
    takesModule: true,
    flags: ['port', 'decrypt'],
    examples: ['dashboard', 'dashboard --port 4000', 'dashboard --decrypt', 'dashboard src/async/worker.ts'],
  },
  attempts: {
    summary: 'lists, shows, retries, cancels, expires, reschedules, pauses and resumes attempts',
    details: ATTEMPTS_DETAILS,
    takesModule: false,
    hasSubcommands: true,
    flags: ATTEMPTS_FLAGS,
    examples: [
      'attempts --failed --target OrderClient --error ECONNREFUSED --since 1d',
      'attempts show 42',
      'attempts retry 42 43',
      'attempts retry --failed --target OrderClient --dry-run',
      'attempts pause OrderClient --until 1h --reason deploy',
      'attempts resume OrderClient',
    ],
  },
} as const satisfies Record<string, Usage>

export type CommandName = keyof typeof COMMANDS

/** An invalid command line. */
export class UsageError extends Error {}

/** A valid command line. */
export interface CommandLine {
  command: CommandName
  module: string | undefined
  flags: Flags
  /** Of `attempts`. */
  subcommand?: ParsedSubcommand
}

/**
 * Parses a command line.
 * @returns text for --help and --version
 * @throws UsageError
 */
export function parseCommandLine(given: string[], version: string): CommandLine | string {
  const args = withSigns(given)
  const { tokens, positionals } = parseArgs({
    args,
    options: FLAGS,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const [name, module, ...surplus] = positionals
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? (name as CommandName) : undefined
  const known: readonly string[] = command ? [...COMMANDS[command].flags, 'help', 'version'] : Object.keys(FLAGS)
  const unknown = tokens.find((token) => token.kind === 'option' && !Object.hasOwn(FLAGS, token.name))
  if (unknown?.kind === 'option')
    throw new UsageError(
      `Unknown option ${unknown.rawName}.${suggestion(unknown.name, known, '--')}${seeHelp(command)}`,
    )
  const flags = strictly(args, command)
  if (flags.version) return version
  if (flags.help) return command ? helpOf(command) : HELP
  if (name === undefined)
    throw new UsageError(`A command is missing. Choose one of: ${Object.keys(COMMANDS).join(', ')}.${seeHelp()}`)
  if (!command) throw new UsageError(`Unknown command "${name}".${suggestion(name, WORDS)}${seeHelp()}`)
  const foreign = Object.keys(flags).find((flag) => !known.includes(flag))
  if (foreign) throw new UsageError(`async-gen-worker ${command} has no option --${foreign}.${seeHelp(command)}`)
  if (command === 'attempts') {
    const subcommand = parseSubcommand(positionals.slice(1), flags)
    if ('problem' in subcommand) throw new UsageError(`${subcommand.problem}${seeHelp(command)}`)
    return { command, module: undefined, flags, subcommand }
  }
  const extra = COMMANDS[command].takesModule ? surplus[0] : module
  if (extra !== undefined) throw new UsageError(`Unexpected argument "${extra}".${seeHelp(command)}`)
  return { command, module, flags }
}

/** What a user may mean by a word in the place of a command. */
const WORDS = [...Object.keys(COMMANDS), ...Object.keys(SUBCOMMANDS).map((name) => `attempts ${name}`)]

/** `--until -1h` as `--until=-1h`: parseArgs would take -1h for two flags, and its message would not help. */
function withSigns(args: string[]): string[] {
  return args.flatMap((argument, i) => {
    const isSigned = (at: number) =>
      /^--(since|before|until|to)$/.test(args[at - 1] ?? '') && /^-\d/.test(args[at] ?? '')
    if (isSigned(i)) return []
    return isSigned(i + 1) ? [`${argument}=${args[i + 1]}`] : [argument]
  })
}

function strictly(args: string[], command: CommandName | undefined): Flags {
  try {
    return parseArgs({ args, options: FLAGS as ParseArgsConfig['options'] & typeof FLAGS, allowPositionals: true })
      .values
  } catch (error) {
    throw new UsageError(`${(error as Error).message}${seeHelp(command)}`)
  }
}

const HELP = `Usage: async-gen-worker <command> [worker module] [options]

Commands:
${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}

The worker module is src/async/worker.ts, which \`async-gen install\` has written. Without a path, the usual folders are searched.
\`async-gen-worker <command> --help\` lists the options of a command.

Examples:
  $ npx async-gen-worker run --once
  $ npx async-gen-worker start --count 3
  $ npx async-gen-worker status --json

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 status: a worker does not run · 4 start: the worker already runs`

function helpOf(name: CommandName): string {
  const { summary, details, takesModule, hasSubcommands, flags, examples }: Usage = COMMANDS[name]
  return [
    `Usage: async-gen-worker ${name}${takesModule ? ' [worker module]' : hasSubcommands ? ' [subcommand]' : ''} [options]`,
    '',
    `${name} ${summary}.`,
    ...(details ? [details] : []),
    '',
    'Options:',
    ...[...flags, 'help' as const].map((flag) => `  ${FLAGS[flag].help[0].padEnd(21)}${FLAGS[flag].help[1]}`),
    '',
    'Examples:',
    ...examples.map((example) => `  $ npx async-gen-worker ${example}`),
  ].join('\n')
}

function seeHelp(command?: CommandName): string {
  return `\nSee async-gen-worker ${command ? `${command} ` : ''}--help`
}

/** ` Did you mean --count?`, if a known word, or the last part of one, is similar. */
function suggestion(word: string, known: readonly string[], prefix = ''): string {
  const last = nearest(
    word,
    known.map((each) => each.split(' ').at(-1)!),
  )
  const near = known.find((each) => each.split(' ').at(-1) === last)
  return near === undefined ? '' : ` Did you mean ${prefix}${near}?`
}
