import { type Command, Option } from 'commander'

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
  framework?: string
  migration?: 'keep' | 'drop' | 'delete' | 'delete-unchecked'
  onConflict?: 'mine' | 'theirs' | 'merge'
  dryRun?: boolean
  diff?: boolean
  check?: boolean
  json?: boolean
  yes?: boolean
  fix?: boolean
}

/** The flags of every command that reads the project. */
export function withLocationFlags(command: Command): Command {
  return command
    .option('--cwd <folder>', 'the folder of the application', '.')
    .option('--schema <path>', 'the Prisma schema, a file or a folder (default: as Prisma finds it)')
    .option('--config <file>', 'the prisma.config file, if there are several')
    .option(
      '--migrations <folder>',
      'write migrations to this folder, if a script copies them to where Prisma reads them',
    )
}

/** The flags of every command that writes files. */
export function withPlanFlags(command: Command): Command {
  return withLocationFlags(
    withJsonFlag(
      command
        .option('--dry-run', 'list the changes, and write nothing')
        .option('--diff', 'show the changes line by line, and write nothing')
        .option('--check', 'write nothing, and exit with 5 if something would be written'),
    ).option('--yes', 'ask no questions'),
  )
}

/** The flags of every command that can change a file that you edited. */
export function withConflictFlag(command: Command): Command {
  return withPlanFlags(
    command.addOption(
      new Option(
        '--on-conflict <what>',
        'if you and async-gen changed the same lines: keep your lines (mine), take those of async-gen (theirs), or write both between markers (merge)',
      ).choices(['mine', 'theirs', 'merge']),
    ),
  )
}

/** The flags of the generators. */
export function withGeneratorFlags(command: Command): Command {
  return withConflictFlag(
    command
      .option('--dir <folder>', 'the folder for the generated code (default: src/async, or async)')
      .option(
        '--client <module>',
        'the module that exports the PrismaClient: src/db.ts, src/db.ts#prisma, @acme/db#prisma',
      ),
  )
}

export function withJsonFlag(command: Command): Command {
  return command.option('--json', 'print one JSON object, and nothing else')
}
