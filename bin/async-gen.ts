#!/usr/bin/env node
import { resolve } from 'node:path'
import { CommanderError } from 'commander'
import pc from 'picocolors'
import { GeneratorError } from '../generators/host/errors.js'
import { version } from '../generators/host/own-package.js'
import { commandLine } from './commands.js'
import { isInteractive } from './interaction.js'

// Read before commander: also a program that misspells another flag expects JSON.
const json = process.argv.some((argument) => /^--json(=|$)/.test(argument))

// It leaves no partly written project: the commit is one synchronous step.
process.on('SIGINT', () => {
  if (json) printError(130, { code: 'INTERRUPTED', message: 'Interrupted.', remedy: 'Run the command again.' })
  process.exit(130)
})

// The project's prisma.config may throw after it was loaded.
if (json) process.on('uncaughtException', (error) => process.exit(report(error)))

// `async-gen … | head` closes the pipe early.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

const program = commandLine(version, async (definition, command, { flags, ...input }) => {
  const located = { ...flags, cwd: resolve(flags.cwd ?? '.') }
  const { lines, json, exitCode } = await definition.run({ ...input, flags: located })
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
  const chosen = process.argv.length === 2 && isInteractive({}) ? await (await import('./ask.js')).askForCommand() : []
  await program.parseAsync([...process.argv, ...chosen])
} catch (error) {
  process.exitCode = report(error)
}

/** Prints an error, and returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return reportUsage(error)
  const isExpected = error instanceof GeneratorError
  if (json) return printError(isExpected ? error.exitCode : 1, isExpected ? error : bugReport(error))
  if (!isExpected) {
    const { message, remedy } = bugReport(error)
    printToStderr(`${pc.red('error')}  ${message}`)
    printToStderr(remedy)
    return 1
  }
  printToStderr(`${pc.red('error')}  ${error.message}  ${pc.dim(`[${error.code}]`)}`)
  if (error.where) printToStderr(`    in  ${error.where}`)
  printToStderr(`    do  ${error.remedy}`)
  return error.exitCode
}

/** For people, commander has printed the message already. */
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

function bugReport(error: unknown) {
  return {
    code: 'DEFECT',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    where: undefined,
    remedy: 'This is a bug in async-gen. Nothing was written. Please report it with the lines above.',
  }
}

function print(text: string) {
  process.stdout.write(`${text}\n`)
}

function printToStderr(line: string) {
  process.stderr.write(`${line}\n`)
}
