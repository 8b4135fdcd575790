#!/usr/bin/env node
import { resolve } from 'node:path'
import { CommanderError } from 'commander'
import pc from 'picocolors'
import type { Change } from '../generators/changes/draft.js'
import type { Diagnosis } from '../generators/doctor.js'
import { GENERATORS, type GeneratorName } from '../generators/generator.js'
import { GeneratorError, UsageError } from '../generators/host/errors.js'
import { version } from '../generators/own-package.js'
import type { Outcome } from '../generators/perform.js'
import type { Place } from '../generators/session.js'
import { commandLine, type Flags } from './commands.js'

/** What a command has come to: text for people, an object for programs. */
interface Result {
  lines: string[]
  json: object
  exitCode: number
}

// A command line that cannot be read was perhaps meant for a program, too.
const json = process.argv.some((argument) => /^--json(=|$)/.test(argument))

// Nothing is half written when this comes: the commit is one synchronous step.
process.on('SIGINT', () => {
  if (json) printError(130, { code: 'INTERRUPTED', message: 'Interrupted.', remedy: 'Run the command again.' })
  process.exit(130)
})

// What a prisma.config of the host throws later, out of our sight.
if (json) process.on('uncaughtException', (error) => process.exit(report(error)))

// `async-gen … | head` has read enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

const program = commandLine(version, async (command, args, flags) => {
  const { lines, json, exitCode } = await carryOut(command, args, flags)
  print(
    flags.json
      ? JSON.stringify({ version: 1, asyncGen: version, command, exitCode, ...json }, null, 2)
      : lines.join('\n').replace(/^\n/, ''),
  )
  process.exitCode = exitCode
})

let help = ''
if (json) {
  for (const each of [program, ...program.commands])
    each.configureOutput({ writeOut: (text) => (help += text), writeErr: () => {} })
}

try {
  const asked = process.argv.length === 2 && isAttended({}) ? await (await import('./ask.js')).askForCommand() : []
  await program.parseAsync([...process.argv, ...asked])
} catch (error) {
  process.exitCode = report(error)
}

async function carryOut(command: string, args: string[], flags: Flags): Promise<Result> {
  const place = { ...flags, cwd: resolve(flags.cwd ?? '.') }
  switch (command) {
    case 'doctor':
      return (await import('../generators/doctor.js')).doctor(place).then((diagnosis) => diagnosed(diagnosis, flags))
    case 'info':
      return informed(place)
    case 'eject':
      if (args.length === 0) return listed((await import('../generators/templates.js')).templateNames())
      break
    case 'completion': {
      const { completion } = await import('../generators/completion.js')
      return { lines: [completion(args[0]!, program)], json: {}, exitCode: 0 }
    }
  }
  return presented(await change(command, args, place), command, flags)
}

async function change(command: string, args: string[], flags: Flags): Promise<Outcome> {
  const [first = '', second] = args
  const request = { ...flags, dryRun: flags.dryRun || flags.diff || command === 'diff', ...(await asking(flags)) }
  if (command === 'upgrade' || command === 'diff') return (await import('../generators/upgrade.js')).upgrade(request)
  if (command === 'eject') return (await import('../generators/eject.js')).eject({ ...request, template: first })
  if (command === 'destroy') {
    const { destroy } = await import('../generators/destroy.js')
    return destroy({ ...request, generator: generatorNamed(first), name: second })
  }
  const { generate } = await import('../generators/run.js')
  return generate({ ...request, generator: generatorNamed(command), names: args })
}

/** Who answers what is left open; nobody where there is no terminal, in CI, and with --yes. */
async function asking(flags: Flags) {
  if (!isAttended(flags)) return {}
  const { askForClient, askToApply, conflictResolver } = await import('./ask.js')
  const { presentDiff } = await import('../generators/changes/present-diff.js')
  return {
    chooseClient: askForClient,
    ...(!flags.onConflict && { resolveConflict: conflictResolver() }),
    confirm: async (plan: Outcome['plan']) => {
      print(presentDiff(plan, pc).join('\n'))
      return askToApply()
    },
  }
}

/** Whether somebody is there to answer. */
function isAttended({ yes, json }: Partial<Flags>): boolean {
  return Boolean(process.stdin.isTTY && process.stdout.isTTY && !process.env.CI && !yes && !json)
}

function generatorNamed(name: string): GeneratorName {
  const known = GENERATORS.find((generator) => generator === name)
  if (known) return known
  throw new UsageError({
    code: 'GENERATOR_UNKNOWN',
    message: `There is no generator "${name}".`,
    remedy: `Name one of these: ${GENERATORS.join(', ')}`,
  })
}

async function presented(outcome: Outcome, command: string, flags: Flags): Promise<Result> {
  const [{ planJson, presentPlan }, { presentDiff }] = await Promise.all([
    import('../generators/changes/present.js'),
    import('../generators/changes/present-diff.js'),
  ])
  const { plan, status, nextSteps } = outcome
  const diff = flags.diff || command === 'diff'
  // An upgrade goes over all that was ever written: what stays as it is would drown the rest.
  const isShown = ({ kind }: Change) => kind !== 'identical' || !(command === 'upgrade' || command === 'diff')
  return {
    lines: [
      ...presentPlan({ ...plan, changes: plan.changes.filter(isShown) }, pc),
      ...(diff ? ['', ...presentDiff(plan, pc)] : []),
      ...ending(outcome),
    ],
    json: { status, ...planJson(plan), nextSteps, ...(diff && { diff: presentDiff(plan).join('\n') }) },
    exitCode: status === 'blocked' ? 3 : status === 'differs' ? 5 : 0,
  }
}

function ending({ status, nextSteps }: Outcome): string[] {
  switch (status) {
    case 'nothing to do':
      return ['', 'Nothing to do.']
    case 'blocked':
      return [
        '',
        `${pc.red('Nothing was written.')} Say what is to be done where they meet: --on-conflict mine, theirs or merge; --diff shows them.`,
      ]
    case 'declined':
      return ['', 'Nothing was written.']
    case 'dry run':
      return ['', 'Dry run: nothing was written.']
    case 'differs':
      return ['', 'Nothing was written: this only checks.']
    case 'applied':
      return nextSteps.length > 0
        ? ['', 'Next:', ...nextSteps.map((step, i) => `  ${i + 1}. ${step.replaceAll('\n', '\n     ')}`)]
        : []
  }
}

function diagnosed({ findings, unchecked, healthy }: Diagnosis, { check }: Flags): Result {
  const mark = { error: pc.red('error'), warning: pc.yellow('warn'), fixed: pc.green('fixed') }
  return {
    lines: [
      ...findings.flatMap(({ severity, code, message, where, remedy }) => [
        `${mark[severity]}  ${message}  ${pc.dim(`[${code}]`)}`,
        ...(where ? [`    in  ${where}`] : []),
        ...(severity === 'fixed' ? [] : [`    do  ${remedy}`]),
      ]),
      ...unchecked
        .filter(({ code }) => findings.every((finding) => finding.code !== code))
        .flatMap(({ code, message, remedy }) => [
          `${pc.yellow('note')}  ${message}  ${pc.dim(`[${code}]`)}`,
          `    do  ${remedy}`,
        ]),
      healthy ? pc.green(unchecked.length > 0 ? 'Nothing wrong was found in the project.' : 'All is well.') : '',
    ],
    json: { healthy, findings, unchecked },
    exitCode: !healthy ? 5 : check && unchecked.length > 0 ? 6 : 0,
  }
}

async function informed(place: Place): Promise<Result> {
  const { describe, info } = await import('../generators/info.js')
  const facts = await info(place)
  const lines = describe(facts).map(([label, text]) => `${pc.dim(label.padStart(16))}  ${text}`)
  return { lines, json: { host: facts }, exitCode: 0 }
}

function listed(names: string[]): Result {
  return { lines: names, json: { templates: names }, exitCode: 0 }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return reportUsage(error)
  const told = error instanceof GeneratorError
  if (json) return printError(told ? error.exitCode : 1, told ? error : { code: 'DEFECT', ...textOf(error) })
  if (told) {
    complain(`${pc.red('error')}  ${error.message}  ${pc.dim(`[${error.code}]`)}`)
    if (error.where) complain(`    in  ${error.where}`)
    complain(`    do  ${error.remedy}`)
    return error.exitCode
  }
  const { message, remedy } = textOf(error)
  complain(`${pc.red('error')}  ${message}`)
  complain(remedy)
  return 1
}

/** Commander has said it already, except to programs. */
function reportUsage({ exitCode, code, message }: CommanderError): number {
  if (!json) return exitCode === 0 ? 0 : 2
  if (exitCode === 0) {
    print(JSON.stringify({ version: 1, asyncGen: version, exitCode, text: help.trimEnd() }, null, 2))
    return 0
  }
  return printError(2, {
    code: 'USAGE',
    message: code === 'commander.help' ? 'No command was given.' : message.replace(/^error: /, ''),
    remedy: 'See npx async-gen --help',
  })
}

function printError(
  exitCode: number,
  { code, message, where, remedy }: { code: string; message: string; where?: string | undefined; remedy: string },
): number {
  print(JSON.stringify({ version: 1, asyncGen: version, exitCode, error: { code, message, where, remedy } }, null, 2))
  return exitCode
}

function textOf(error: unknown) {
  return {
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    where: undefined,
    remedy: 'This is a defect of async-gen, and nothing was written. Please report it with the lines above.',
  }
}

function print(text: string) {
  process.stdout.write(`${text}\n`)
}

function complain(line: string) {
  process.stderr.write(`${line}\n`)
}
