import { Command, Option } from 'commander'
import { FRAMEWORKS, GENERATORS, type GeneratorName } from '../generators/definitions/generator.js'
import { UsageError } from '../generators/host/errors.js'
import {
  type Flags,
  withConflictFlag,
  withGeneratorFlags,
  withJsonFlag,
  withLocationFlags,
  withPlanFlags,
} from './flags.js'
import type { InCommands } from './host-commands.js'
import { planFlags } from './interaction.js'
import { type CommandResult, doctorResult, infoResult, planResult, templatesResult } from './results.js'

/** What a command gets: its arguments in their order, its flags with an absolute `cwd`, and the whole command line. */
export interface CommandInput {
  args: string[]
  flags: Flags
  program: Command
  inCommands: InCommands
}

export interface CommandDefinition {
  /** The name and the arguments: `destroy <generator> [name]`. */
  usage: string
  description: string
  examples: string[]
  addFlags?(command: Command): Command
  /** Loads what it needs itself, so that `--help` starts fast. */
  run(input: CommandInput): Promise<CommandResult>
}

const COMMANDS: CommandDefinition[] = [
  {
    usage: 'install',
    description: 'add cached methods (toasts), tasks and the worker process',
    examples: [
      'npx async-gen install',
      'npx async-gen install --dir lib/async --client src/db.ts#prisma',
      'npx async-gen install --invalidate-on Oat Topping.oat',
    ],
    addFlags: (command) =>
      withGeneratorFlags(
        command.option(
          '--invalidate-on <models...>',
          'add triggers that make toasts stale when rows of these models change: Oat, Topping.oat',
        ),
      ),
    run: (input) => runGenerator('install', input),
  },
  {
    usage: 'attempt [name]',
    description: 'add background jobs, recorded in your transactions',
    examples: ['npx async-gen attempt', 'npx async-gen attempt EmailAttempt --encrypted'],
    addFlags: (command) =>
      withGeneratorFlags(
        command.option('--encrypted', 'encrypt arguments, results and errors unless a call names another encryptor'),
      ),
    run: (input) => runGenerator('attempt', input),
  },
  {
    usage: 'reports [names...]',
    description: 'add reports that the worker builds, one class for each name',
    examples: ['npx async-gen reports MonthlySales WeeklyUsage', 'npx async-gen reports --model SalesReport'],
    addFlags: (command) =>
      withGeneratorFlags(
        command.option('--model <name>', 'the model of the reports, if your schema already has a Report: SalesReport'),
      ),
    run: (input) => runGenerator('reports', input),
  },
  {
    usage: 'dashboard',
    description: 'add a web page over attempts, toasts, reports and workers to your application',
    examples: ['npx async-gen dashboard', 'npx async-gen dashboard --framework fastify'],
    addFlags: (command) =>
      withGeneratorFlags(
        command.addOption(
          new Option(
            '--framework <name>',
            'what your application answers requests with (default: what package.json names)',
          ).choices(FRAMEWORKS),
        ),
      ),
    run: (input) => runGenerator('dashboard', input),
  },
  {
    usage: 'deploy <kind>',
    description: 'add the configuration that runs the worker: systemd, docker, kubernetes, pm2 or procfile',
    examples: ['npx async-gen deploy systemd', 'npx async-gen deploy kubernetes --diff'],
    addFlags: withGeneratorFlags,
    run: (input) => runGenerator('deploy', input),
  },
  {
    usage: 'upgrade',
    description: 'merge the newer templates into your files',
    examples: [
      'npx async-gen upgrade',
      'npx async-gen upgrade --check          # in CI: exits with 5 if there is something to upgrade',
      'npx async-gen upgrade --on-conflict mine',
      'npx async-gen upgrade --restore-migrations   # if migration files were deleted by mistake',
    ],
    addFlags: (command) =>
      withConflictFlag(command.option('--restore-migrations', 'write deleted migration files again')),
    run: (input) => runUpgrade(input),
  },
  {
    usage: 'diff',
    description: 'show what an upgrade would change, and write nothing',
    examples: ['npx async-gen diff'],
    addFlags: (command) => withLocationFlags(withJsonFlag(command)),
    run: (input) => runUpgrade({ ...input, flags: { ...input.flags, diff: true } }),
  },
  {
    usage: 'destroy <generator> [name]',
    description: 'remove what a generator wrote, except what you edited',
    examples: [
      'npx async-gen destroy attempt EmailAttempt --dry-run',
      'npx async-gen destroy reports MonthlySales',
      'npx async-gen destroy attempt --migration drop',
    ],
    addFlags: (command) =>
      withPlanFlags(
        command
          .option('--model <name>', 'the model of the reports, if there are several')
          .addOption(
            new Option(
              '--migration <what>',
              'keep the migrations, write one that drops the tables (drop), delete them if the database has not run them (delete), or delete them without looking at the database (delete-unchecked)',
            )
              .choices(['keep', 'drop', 'delete', 'delete-unchecked'])
              .default('keep'),
          ),
      ),
    async run({ args: [generator = '', name], flags, inCommands }) {
      const request = { ...(await planFlags(flags)), generator: generatorNamed(generator), name }
      const { destroy } = await import('../generators/commands/destroy.js')
      return planResult(await destroy(request), { inCommands, showsDiff: flags.diff })
    },
  },
  {
    usage: 'eject [template]',
    description: 'copy a template into your project; async-gen then uses your copy',
    examples: [
      'npx async-gen eject                    # lists the templates',
      'npx async-gen eject attempt/async/__file__.ts',
    ],
    addFlags: withConflictFlag,
    async run({ args: [template], flags, inCommands }) {
      if (template === undefined)
        return templatesResult((await import('../generators/pipeline/templates.js')).templateNames())
      const { eject } = await import('../generators/commands/eject.js')
      return planResult(await eject({ ...(await planFlags(flags)), template }), { inCommands, showsDiff: flags.diff })
    },
  },
  {
    usage: 'doctor',
    description: 'check the project and its database for problems',
    examples: [
      'npx async-gen doctor',
      'DATABASE_URL=postgres://… npx async-gen doctor --json',
      'npx async-gen doctor --check           # in CI: exits with 6 if the database could not be checked',
    ],
    addFlags: (command) =>
      withLocationFlags(
        withJsonFlag(
          command
            .option('--fix', 'fix the problems that need no decision of yours')
            .option('--check', 'exit with 6 if something could not be checked'),
        ),
      ),
    async run({ flags, inCommands }) {
      const { doctor } = await import('../generators/commands/doctor/doctor.js')
      return doctorResult(await doctor(flags), inCommands, flags.check)
    },
  },
  {
    usage: 'info',
    description: 'show what async-gen detects in the project',
    examples: ['npx async-gen info', 'npx async-gen info --json'],
    addFlags: (command) => withLocationFlags(withJsonFlag(command)),
    async run({ flags, inCommands }) {
      const { info } = await import('../generators/commands/info.js')
      return infoResult(await info(flags), inCommands)
    },
  },
  {
    usage: 'completion <shell>',
    description: 'print the completion script of a shell: bash, zsh or fish',
    examples: [
      'source <(npx async-gen completion bash)',
      'npx async-gen completion fish > ~/.config/fish/completions/async-gen.fish',
    ],
    async run({ args: [shell = ''], program }) {
      const { completion } = await import('../generators/commands/completion.js')
      return { lines: [completion(shell, program)], json: {}, exitCode: 0 }
    },
  },
]

/**
 * The command line, from the table above.
 *
 * @param run runs one command, and reports its result
 */
export function commandLine(
  version: string,
  run: (command: CommandDefinition, name: string, input: Omit<CommandInput, 'inCommands'>) => Promise<void>,
): Command {
  const program = new Command('async-gen')
    .description('Background jobs, cached methods and reports for Prisma and PostgreSQL, as code that you own.')
    .version(version)
    .exitOverride()
    .configureHelp({
      subcommandTerm: (command) => [command.name(), command.usage().replace(/^\[options\] ?/, '')].join(' '),
    })
    .addHelpText('after', EXAMPLES_AND_EXIT_CODES)
  for (const definition of COMMANDS) {
    const command = program
      .command(definition.usage)
      .description(definition.description)
      .addHelpText('after', `\nExamples:\n${definition.examples.map((line) => `  $ ${line}`).join('\n')}`)
      .action((...parameters: unknown[]) => {
        const [flags, { args }] = parameters.slice(-2) as [Flags, Command]
        return run(definition, command.name(), { args, flags, program })
      })
    definition.addFlags?.(command)
  }
  return program
}

const EXAMPLES_AND_EXIT_CODES = `
Examples:
  $ npx async-gen install                 # first: toasts, tasks and the worker process
  $ npx async-gen attempt                 # background jobs; \`attempt EmailAttempt\` adds a second model
  $ npx async-gen reports MonthlySales    # reports that the worker builds
  $ npx async-gen dashboard               # a web page that shows all of it, in your application
  $ npx async-gen deploy systemd          # the configuration that runs the worker in production
  $ npx async-gen attempt --diff          # shows every line that would change
  $ npx async-gen upgrade                 # merges newer templates with your edits

Exit codes: 0 done or nothing to do, 1 bug or disk error, 2 usage, 3 conflict, 4 project not supported, 5 --check or doctor found something, 6 doctor --check could not check everything`

async function runGenerator(
  generator: GeneratorName,
  { args: names, flags, inCommands }: CommandInput,
): Promise<CommandResult> {
  const { generate } = await import('../generators/commands/generate.js')
  const outcome = await generate({ ...(await planFlags(flags)), generator, names })
  return planResult(outcome, { inCommands, showsDiff: flags.diff })
}

/** An upgrade considers every emitted file. It shows only those that change. */
async function runUpgrade({ flags, inCommands }: CommandInput): Promise<CommandResult> {
  const { upgrade } = await import('../generators/commands/upgrade.js')
  const outcome = await upgrade(await planFlags(flags))
  return planResult(outcome, { inCommands, showsDiff: flags.diff, showsIdentical: false })
}

function generatorNamed(name: string): GeneratorName {
  const known = GENERATORS.find((generator) => generator === name)
  if (known) return known
  throw new UsageError({
    code: 'GENERATOR_UNKNOWN',
    message: `Unknown generator "${name}".`,
    remedy: `Choose one of these: ${GENERATORS.join(', ')}`,
  })
}
