#!/usr/bin/env node
import { resolve } from 'node:path'
import { Command, CommanderError } from 'commander'
import pc from 'picocolors'
import type { Generator } from '../generators/generator.js'
import { GeneratorError } from '../generators/host/errors.js'
import type { ClientExport } from '../generators/host/prisma-client.js'
import { version } from '../generators/own-package.js'
import type { Outcome } from '../generators/run.js'

interface Flags {
  cwd: string
  dir?: string
  client?: string
  schema?: string
  model?: string
  encrypted?: boolean
  yes?: boolean
  dryRun?: boolean
}

// Nothing is half written when this comes: the commit is one synchronous step.
process.on('SIGINT', () => process.exit(130))

const program = new Command('async-gen')
  .description('Durable calls, cached methods and background reports for Prisma and PostgreSQL, as code that you own.')
  .version(version)
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  $ npx async-gen install                 # first: toasts, tasks and the worker process
  $ npx async-gen attempt                 # durable calls; \`attempt EmailAttempt\` adds a second kind
  $ npx async-gen reports MonthlySales    # reports built in the background
  $ npx async-gen attempt --dry-run       # shows what would happen`,
  )

command('install', 'install', 'add cached methods (toasts), tasks and the worker process')
command('attempt', 'attempt [name]', 'add durable calls, recorded in your transactions').option(
  '--encrypted',
  'encrypt arguments, results and errors unless a call says otherwise',
)
command('reports', 'reports [names...]', 'add reports built in the background, a class each').option(
  '--model <name>',
  'the model of the reports, where Report is taken: SalesReport',
)

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function command(generator: Generator['name'], usage: string, description: string) {
  return program
    .command(usage)
    .description(description)
    .option('--cwd <folder>', 'the folder of the application', '.')
    .option('--dir <folder>', 'where the code goes (default: src/async, or async)')
    .option('--client <module>', 'what exports the PrismaClient: src/db.ts, src/db.ts#prisma')
    .option('--schema <path>', 'the Prisma schema, a file or a folder (default: as Prisma finds it)')
    .option('--yes', 'never ask')
    .option('--dry-run', 'show what would happen, and write nothing')
    .action(async (...parameters: unknown[]) => {
      const [flags, { args }] = parameters.slice(-2) as [Flags, Command]
      await run(generator, args, flags)
    })
}

async function run(generator: Generator['name'], names: string[], flags: Flags) {
  const [{ generate }, { presentPlan }] = await Promise.all([
    import('../generators/run.js'),
    import('../generators/changes/present.js'),
  ])
  const attended = process.stdin.isTTY && process.stdout.isTTY && !process.env.CI && !flags.yes
  const outcome = await generate({
    ...flags,
    generator,
    names,
    cwd: resolve(flags.cwd),
    chooseClient: attended ? askForClient : undefined,
  })
  print(...presentPlan(outcome.plan, pc), ...ending(outcome))
  if (outcome.status === 'blocked') process.exitCode = 3
}

function ending({ status, nextSteps }: Outcome): string[] {
  if (status === 'nothing to do') return []
  if (status === 'blocked') {
    return [
      '',
      `${pc.red('Nothing was written.')} Move what is in conflict away, or choose another folder: --dir <folder>`,
    ]
  }
  if (status === 'dry run') return ['', 'Dry run: nothing was written.']
  return ['', 'Next:', ...nextSteps.map((step, i) => `  ${i + 1}. ${step}`)]
}

async function askForClient(candidates: ClientExport[]): Promise<ClientExport> {
  const { isCancel, select } = await import('@clack/prompts')
  const choice = await select({
    message: 'Which of these is the PrismaClient that async-gen is to use?',
    options: candidates.map((value) => ({ value, label: `${value.name} in ${value.path}` })),
  })
  if (isCancel(choice)) process.exit(130)
  return choice
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof GeneratorError) {
    complain(`${pc.red('error')}  ${error.message}  ${pc.dim(`[${error.code}]`)}`)
    if (error.where) complain(`    in  ${error.where}`)
    complain(`    do  ${error.remedy}`)
    return error.exitCode
  }
  complain(`${pc.red('error')}  ${error instanceof Error ? error.stack : error}`)
  complain('This is a defect of async-gen, and nothing was written. Please report it with the lines above.')
  return 1
}

function print(...lines: string[]) {
  process.stdout.write(`${lines.join('\n')}\n`)
}

function complain(line: string) {
  process.stderr.write(`${line}\n`)
}
