import type { FlagName, Flags } from '../flags.js'

interface Subcommand {
  summary: string
  /** What follows its name in the help. */
  words: string
  /** How many words may follow it. */
  most: number
  flags: readonly FlagName[]
}

const STATUS_FLAGS = ['pending', 'blocked', 'running', 'succeeded', 'failed', 'expired', 'cancelled'] as const
const FILTERS = [
  'status',
  ...STATUS_FLAGS,
  'target',
  'method',
  'token',
  'batch',
  'schedule',
  'error',
  'since',
  'before',
] as const
const FOR_ALL = ['model', 'worker', 'json'] as const
const FOR_CHANGES = [...FILTERS, 'dry-run', 'yes', ...FOR_ALL] as const

export const SUBCOMMANDS = {
  list: {
    summary: 'lists the newest attempts that match',
    words: '',
    most: 0,
    flags: [...FILTERS, 'limit', 'decrypt', ...FOR_ALL],
  },
  show: {
    summary: 'shows attempts, with all errors',
    words: '<id> …',
    most: Number.POSITIVE_INFINITY,
    flags: ['decrypt', ...FOR_ALL],
  },
  retry: {
    summary: 'makes attempts due again; with filters: those that have failed, or have the given status',
    words: '[id …]',
    most: Number.POSITIVE_INFINITY,
    flags: FOR_CHANGES,
  },
  cancel: {
    summary: 'ends attempts that are pending, blocked or running as cancelled',
    words: '[id …]',
    most: Number.POSITIVE_INFINITY,
    flags: FOR_CHANGES,
  },
  expire: {
    summary: 'ends pending and blocked attempts as expired',
    words: '[id …]',
    most: Number.POSITIVE_INFINITY,
    flags: FOR_CHANGES,
  },
  reschedule: {
    summary: 'sets when pending and blocked attempts run: --to 1h',
    words: '[id …]',
    most: Number.POSITIVE_INFINITY,
    flags: ['to', ...FOR_CHANGES],
  },
  pause: {
    summary: 'pauses the calls of a target or of a method; without one, all calls of the model, and asks first',
    words: '[target[.method]]',
    most: 1,
    flags: ['method', 'until', 'reason', 'all', 'dry-run', 'yes', ...FOR_ALL],
  },
  resume: {
    summary: 'ends that pause; without a target, the pause of all calls',
    words: '[target[.method]]',
    most: 1,
    flags: ['method', 'all', ...FOR_ALL],
  },
  pauses: {
    summary: 'lists the pauses in force',
    words: '',
    most: 0,
    flags: FOR_ALL,
  },
  limits: {
    summary: 'lists the limits per key: what runs, what waits, and which keys are full',
    words: '',
    most: 0,
    flags: FOR_ALL,
  },
} as const satisfies Record<string, Subcommand>

export type SubcommandName = keyof typeof SUBCOMMANDS

/** All flags of `attempts`. */
export const ATTEMPTS_FLAGS: readonly FlagName[] = [
  ...new Set(Object.values(SUBCOMMANDS).flatMap(({ flags }) => flags)),
]

export const ATTEMPTS_DETAILS = `${Object.entries(SUBCOMMANDS)
  .map(([name, { summary, words }]) => `  ${`attempts ${name} ${words}`.trim().padEnd(35)}${summary}`)
  .join('\n')}

Without a subcommand: list. It uses the classes of attempts beside the worker module, with your overrides.

All times are in UTC. --since and --before take a length of time back from now (1d), or a time (2026-11-01T08:30). They mean when an attempt ended if all
wanted statuses are ends: succeeded, failed, expired, cancelled. Otherwise they mean when it was recorded.

\`retry\`, \`cancel\`, \`expire\` and \`reschedule\` take ids, or filters for many attempts. With filters, they ask first. --yes does not ask.`

/** The subcommand of `attempts`, and the words after it; a message if they are wrong. */
export function parseSubcommand(words: readonly string[], flags: Flags): ParsedSubcommand | { problem: string } {
  const [first = 'list', ...rest] = words
  if (!Object.hasOwn(SUBCOMMANDS, first))
    return {
      problem: `Unknown subcommand "${first}" of attempts. Choose one of: ${Object.keys(SUBCOMMANDS).join(', ')}.`,
    }
  const name = first as SubcommandName
  const { flags: known, most }: Subcommand = SUBCOMMANDS[name]
  const foreign = Object.keys(flags).find((flag) => !known.includes(flag as FlagName))
  if (foreign) return { problem: `async-gen-worker attempts ${name} has no option --${foreign}.` }
  if (rest.length > most) return { problem: `Unexpected argument "${rest[most]}".` }
  if (name === 'show' && rest.length === 0) return { problem: 'attempts show needs the id of an attempt.' }
  return { name, words: rest }
}

export interface ParsedSubcommand {
  name: SubcommandName
  words: string[]
}
