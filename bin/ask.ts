import { confirm, isCancel, log, select, text } from '@clack/prompts'
import pc from 'picocolors'
import type { Decision } from '../generators/changes/decide.js'
import type { Change } from '../generators/changes/draft.js'
import { presentConflict } from '../generators/changes/present-diff.js'
import { type ClientCandidate, isClient } from '../generators/host/prisma-client.js'

/** Asks on a terminal. Whoever cancels has interrupted the run: nothing is written. */
export async function askForClient(candidates: ClientCandidate[], unclear: string[]): Promise<ClientCandidate> {
  if (unclear.length > 0)
    log.message(
      `A PrismaClient is made here too, and may be exported in a way that is not recognised: ${unclear.join(', ')}. To use that one, press Ctrl-C and name it: --client ${unclear[0]}#default`,
    )
  return answered(
    await select({
      message: 'Which of these is the PrismaClient that async-gen is to use?',
      options: candidates.map((value) => ({
        value,
        label: `${value.name} in ${value.path}`,
        ...(isClient(value) ? {} : { hint: 'makes one' }),
      })),
    }),
  )
}

/** A decision is remembered: the same conflict is not asked about again. The first answer keeps what is there. */
export function conflictResolver(): (change: Change, more: boolean) => Promise<Decision> {
  let forAll: Decision | undefined
  return async (change, more) => {
    if (forAll) return forAll
    const what = await decisionOn(change)
    if (!more) return what
    const rest = answered(
      await select({
        message: 'And where the same happens in the files after it?',
        options: [
          { value: false, label: 'ask again' },
          { value: true, label: 'do the same' },
        ],
      }),
    )
    if (rest) forAll = what
    return what
  }
}

async function decisionOn(change: Change): Promise<Decision> {
  const markers = change.path.endsWith('.prisma')
    ? []
    : [{ value: 'merge' as const, label: 'merge them, with markers where they meet' }]
  const choice = answered(
    await select<Decision | 'show'>({
      message: `${change.path}: ${change.detail ?? 'it exists, and async-gen did not write it'}`,
      options: [
        { value: 'mine', label: 'keep mine' },
        { value: 'theirs', label: "take async-gen's" },
        ...markers,
        { value: 'show', label: 'show the difference' },
      ],
    }),
  )
  if (choice !== 'show') return choice
  log.message(presentConflict(change, pc).join('\n'))
  return decisionOn(change)
}

export async function askToApply(): Promise<boolean> {
  return answered(await confirm({ message: 'Apply this?' }))
}

/** The short menu of a run without arguments: the command line that was meant. */
export async function askForCommand(): Promise<string[]> {
  const command = answered(
    await select({
      message: 'What would you like to do?',
      options: [
        { value: 'install', label: 'install', hint: 'cached methods, tasks and the worker: this first' },
        { value: 'attempt', label: 'attempt', hint: 'durable calls, recorded in your transactions' },
        { value: 'reports', label: 'reports', hint: 'reports built in the background' },
        { value: 'deploy', label: 'deploy', hint: 'what runs the worker in production' },
        { value: 'upgrade', label: 'upgrade', hint: 'merge newer templates with your edits' },
        { value: 'doctor', label: 'doctor', hint: 'find what is wrong' },
        { value: '--help', label: 'help', hint: 'all commands' },
      ],
    }),
  )
  if (command === 'attempt') return [command, ...(await names('Name of the model', 'Attempt'))]
  if (command === 'reports') return [command, ...(await names('Names of the reports, separated by spaces', ''))]
  if (command === 'deploy') return [command, await deployKind()]
  return [command]
}

async function deployKind(): Promise<string> {
  const { deployKinds } = await import('../generators/deploy.js')
  return answered(
    await select({ message: 'What runs it?', options: deployKinds.map((kind) => ({ value: kind, label: kind })) }),
  )
}

async function names(message: string, defaultValue: string): Promise<string[]> {
  const given = answered(await text({ message, placeholder: defaultValue, defaultValue }))
  return given.split(/[\s,]+/).filter(Boolean)
}

function answered<T>(answer: T): Exclude<T, symbol> {
  if (isCancel(answer)) process.exit(130)
  return answer as Exclude<T, symbol>
}
