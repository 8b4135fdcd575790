#!/usr/bin/env node
import { type Answer, answerTo, errorAnswerOf, jsonError, wantsJson } from './answer.js'
import { isInteractive } from './interaction.js'

const args = process.argv.slice(2)
const json = wantsJson(args)

// It leaves no partly written project: the commit is one synchronous step.
process.on('SIGINT', () => {
  if (json) print(jsonError(130, { code: 'INTERRUPTED', message: 'Interrupted.', remedy: 'Run the command again.' }))
  process.exit(130)
})

// The project's prisma.config may throw after it was loaded.
if (json) process.on('uncaughtException', (error) => process.exit(print(errorAnswerOf(error, true))))

// `async-gen … | head` closes the pipe early.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

process.exitCode = print(await answerToUser())

/** Without arguments, a user on a terminal chooses the command. */
async function answerToUser(): Promise<Answer> {
  if (args.length > 0 || !isInteractive({})) return await answerTo(args)
  try {
    const { askForCommand } = await import('./ask.js')
    return await answerTo(await askForCommand())
  } catch (error) {
    return errorAnswerOf(error, json)
  }
}

function print({ stdout, stderr, exitCode }: Answer): number {
  process.stdout.write(stdout)
  process.stderr.write(stderr)
  return exitCode
}
