import { resolve } from 'node:path'
import { CommanderError } from 'commander'
import pc from 'picocolors'
import { GeneratorError } from '../generators/host/errors.js'
import { version } from '../generators/host/own-package.js'
import { commandLine } from './commands.js'
import { commandsOfHost, type InCommands } from './host-commands.js'

/** What a command line prints, and the exit code. */
export interface Answer {
  stdout: string
  stderr: string
  exitCode: number
}

/** An error as programs read it. */
interface JsonError {
  code: string
  message: string
  where?: string | undefined
  remedy: string
}

/** Whether a program reads the output. Read before commander: also a program that misspells another flag expects JSON. */
export function wantsJson(args: readonly string[]): boolean {
  return args.some((argument) => /^--json(=|$)/.test(argument))
}

/** Runs a command line. */
export async function answerTo(args: readonly string[]): Promise<Answer> {
  const json = wantsJson(args)
  let [answer, usage, help, cwd] = [{ stdout: '', stderr: '', exitCode: 0 }, '', '', resolve('.')]
  const program = commandLine(version, async (definition, command, { flags, ...input }) => {
    cwd = resolve(flags.cwd ?? '.')
    const result = await definition.run({ ...input, flags: { ...flags, cwd }, inCommands: await commandsOfHost(cwd) })
    const { lines, json: object, exitCode } = result
    const text = flags.json
      ? JSON.stringify({ version: 1, asyncGen: version, command, exitCode, ...object }, null, 2)
      : lines.join('\n').replace(/^\n/, '')
    answer = { stdout: `${text}\n`, stderr: '', exitCode }
  })
  for (const each of [program, ...program.commands])
    each.configureOutput({ writeOut: (text) => (help += text), writeErr: (text) => (usage += text) })
  try {
    await program.parseAsync(args, { from: 'user' })
    return answer
  } catch (error) {
    if (!(error instanceof CommanderError)) return errorAnswerOf(error, json, await commandsOfHost(cwd))
    if (json) return usageAsJson(error, help)
    return { stdout: help, stderr: usage, exitCode: error.exitCode === 0 ? 0 : 2 }
  }
}

/** What is printed for an error. */
export function errorAnswerOf(error: unknown, json: boolean, inCommands: InCommands = (text) => text): Answer {
  const isExpected = error instanceof GeneratorError
  const described = isExpected
    ? { ...error, message: inCommands(error.message), remedy: inCommands(error.remedy) }
    : bugReport(error)
  const exitCode = isExpected ? error.exitCode : 1
  if (json) return jsonError(exitCode, described)
  const { code, message, where, remedy } = described
  const lines = isExpected
    ? [
        `${pc.red('error')}  ${message}  ${pc.dim(`[${code}]`)}`,
        ...(where ? [`    in  ${where}`] : []),
        `    do  ${remedy}`,
      ]
    : [`${pc.red('error')}  ${message}`, remedy]
  return { stdout: '', stderr: `${lines.join('\n')}\n`, exitCode }
}

export function jsonError(exitCode: number, { code, message, where, remedy }: JsonError): Answer {
  const error = { code, message, where, remedy }
  return {
    stdout: `${JSON.stringify({ version: 1, asyncGen: version, exitCode, error }, null, 2)}\n`,
    stderr: '',
    exitCode,
  }
}

function usageAsJson({ exitCode, code, message }: CommanderError, help: string): Answer {
  if (exitCode === 0) {
    const object = { version: 1, asyncGen: version, exitCode, text: help.trimEnd() }
    return { stdout: `${JSON.stringify(object, null, 2)}\n`, stderr: '', exitCode: 0 }
  }
  return jsonError(2, {
    code: 'USAGE',
    message: code === 'commander.help' ? 'No command was given.' : message.replace(/^error: /, ''),
    remedy: 'See npx async-gen --help',
  })
}

function bugReport(error: unknown): JsonError {
  return {
    code: 'DEFECT',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    remedy: 'This is a bug in async-gen. Nothing was written. Please report it with the lines above.',
  }
}
