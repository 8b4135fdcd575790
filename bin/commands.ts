import { Command, Option } from 'commander'

/** Every flag, as commander spells it in camel case. */
export interface Flags {
  cwd: string
  schema?: string
  config?: string
  migrations?: string
  restoreMigrations?: boolean
  dir?: string
  client?: string
  model?: string
  encrypted?: boolean
  invalidateOn?: string[]
  migration?: 'keep' | 'drop' | 'delete' | 'delete-unchecked'
  onConflict?: 'mine' | 'theirs' | 'merge'
  dryRun?: boolean
  diff?: boolean
  check?: boolean
  json?: boolean
  yes?: boolean
  fix?: boolean
}

export type Run = (command: string, args: string[], flags: Flags) => Promise<void>

/** The commands and their flags. It runs nothing itself, and loads nothing but the parser of arguments. */
export function commandLine(version: string, run: Run): Command {
  const program = new Command('async-gen')
    .description(
      'Durable calls, cached methods and background reports for Prisma and PostgreSQL, as code that you own.',
    )
    .version(version)
    .exitOverride()
    .configureHelp({
      subcommandTerm: (command) => [command.name(), command.usage().replace(/^\[options\] ?/, '')].join(' '),
    })
    .addHelpText(
      'after',
      `
Examples:
  $ npx async-gen install                 # first: toasts, tasks and the worker process
  $ npx async-gen attempt                 # durable calls; \`attempt EmailAttempt\` adds a second kind
  $ npx async-gen reports MonthlySales    # reports built in the background
  $ npx async-gen deploy systemd          # what runs the worker in production
  $ npx async-gen attempt --diff          # shows what would happen, line by line
  $ npx async-gen upgrade                 # merges newer templates with your edits

Exit codes: 0 done or nothing to do, 1 defect, 2 usage, 3 conflict, 4 host not supported, 5 --check or doctor found something, 6 doctor --check could not look at everything`,
    )
  const command = (usage: string, description: string, examples: string[]) => {
    const added = program.command(usage).description(description)
    added.addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ ${line}`).join('\n')}`)
    return added.action((...parameters: unknown[]) => {
      const [flags, { args }] = parameters.slice(-2) as [Flags, Command]
      return run(added.name(), args, flags)
    })
  }

  generating(
    command('install', 'add cached methods (toasts), tasks and the worker process', [
      'npx async-gen install',
      'npx async-gen install --dir lib/async --client src/db.ts#prisma',
      'npx async-gen install --invalidate-on Oat Topping.oat',
    ]).option('--invalidate-on <models...>', 'triggers that make toasts stale from SQL: Oat, Topping.oat'),
  )
  generating(
    command('attempt [name]', 'add durable calls, recorded in your transactions', [
      'npx async-gen attempt',
      'npx async-gen attempt EmailAttempt --encrypted',
    ]).option('--encrypted', 'encrypt arguments, results and errors unless a call says otherwise'),
  )
  generating(
    command('reports [names...]', 'add reports built in the background, a class each', [
      'npx async-gen reports MonthlySales WeeklyUsage',
      'npx async-gen reports --model SalesReport',
    ]).option('--model <name>', 'the model of the reports, where Report is taken: SalesReport'),
  )
  generating(
    command('deploy <kind>', 'add what runs the worker: systemd, docker, kubernetes, pm2 or procfile', [
      'npx async-gen deploy systemd',
      'npx async-gen deploy kubernetes --diff',
    ]),
  )
  merging(
    command('upgrade', 'merge what newer templates have gained into what you have', [
      'npx async-gen upgrade',
      'npx async-gen upgrade --check          # in CI: is there anything to upgrade?',
      'npx async-gen upgrade --on-conflict mine',
      'npx async-gen upgrade --restore-migrations   # after git clean, or in a folder that was emptied',
    ]).option('--restore-migrations', 'restore deleted migration files'),
  )
  placing(
    command('diff', 'show what an upgrade would change, and write nothing', ['npx async-gen diff']).option(
      '--json',
      JSON_FLAG,
    ),
  )
  changing(
    command('destroy <generator> [name]', 'take out what a generator wrote, where it is as it was written', [
      'npx async-gen destroy attempt EmailAttempt --dry-run',
      'npx async-gen destroy reports MonthlySales',
      'npx async-gen destroy attempt --migration drop',
    ])
      .option('--model <name>', 'of several models for reports, this one')
      .addOption(
        new Option(
          '--migration <what>',
          'the migrations: leave them, write one that drops the tables, or delete them where the database has not run them',
        )
          .choices(['keep', 'drop', 'delete', 'delete-unchecked'])
          .default('keep'),
      ),
  )
  merging(
    command('eject [template]', 'copy a template into your project, where it wins over ours', [
      'npx async-gen eject                    # lists them',
      'npx async-gen eject attempt/async/__file__.ts',
    ]),
  )
  placing(
    command('doctor', 'find what is wrong, in the project and in its database', [
      'npx async-gen doctor',
      'DATABASE_URL=postgres://… npx async-gen doctor --json',
      'npx async-gen doctor --check           # in CI: ends with 6 where the database could not be looked at',
    ])
      .option('--fix', 'fix what can be fixed without you')
      .option('--check', 'end with 6 where something could not be looked at')
      .option('--json', JSON_FLAG),
  )
  placing(
    command('info', 'say what async-gen sees of the project', [
      'npx async-gen info',
      'npx async-gen info --json',
    ]).option('--json', JSON_FLAG),
  )
  program
    .command('completion')
    .argument('<shell>', 'bash, zsh or fish')
    .description('print the script that completes commands and flags in your shell')
    .addHelpText(
      'after',
      '\nExamples:\n  $ source <(npx async-gen completion bash)\n  $ npx async-gen completion fish > ~/.config/fish/completions/async-gen.fish',
    )
    .action((shell: string, flags: Flags) => run('completion', [shell], flags))
  return program
}

const JSON_FLAG = 'print one JSON object, and nothing else'

/** The flags that say where the Prisma parts are. */
function placing(command: Command): Command {
  return command
    .option('--cwd <folder>', 'the folder of the application', '.')
    .option('--schema <path>', 'the Prisma schema, a file or a folder (default: as Prisma finds it)')
    .option('--config <file>', 'the prisma.config, where there are several')
    .option('--migrations <folder>', 'where migrations go, if a script of yours moves them to where Prisma reads them')
}

/** The flags of whatever changes files. */
function changing(command: Command): Command {
  return placing(
    command
      .option('--dry-run', 'list what would happen, and write nothing')
      .option('--diff', 'show it line by line, and write nothing')
      .option('--check', 'write nothing, and end with 5 where something would be written')
      .option('--json', JSON_FLAG)
      .option('--yes', 'never ask'),
  )
}

/** The flags of whatever may meet your edits. */
function merging(command: Command): Command {
  return changing(
    command.addOption(
      new Option('--on-conflict <what>', 'where your edit and ours meet: yours, ours, or both between markers').choices(
        ['mine', 'theirs', 'merge'],
      ),
    ),
  )
}

function generating(command: Command): Command {
  return merging(
    command
      .option('--dir <folder>', 'where the code goes (default: src/async, or async)')
      .option('--client <module>', 'what exports the PrismaClient: src/db.ts, src/db.ts#prisma, @acme/db#prisma'),
  )
}
