import { confirm, isCancel, log, select, text } from '@clack/prompts'
import pc from 'picocolors'
import type { Decision } from '../generators/changes/decide.js'
import type { Change } from '../generators/changes/draft.js'
import { presentConflict } from '../generators/changes/present-diff.js'
import { type ClientCandidate, isClient } from '../generators/host/prisma-client.js'

/** Asks which export is the PrismaClient. `unclear` are modules that make a client without an export that we recognise. */
export async function askForClient(candidates: ClientCandidate[], unclear: string[]): Promise<ClientCandidate> {
  if (unclear.length > 0)
    log.message(
      `These modules make a PrismaClient too, but async-gen does not recognise how they export it: ${unclear.join(', ')}. To use one, press Ctrl-C and run again with: --client ${unclear[0]}#default`,
    )
  return requireAnswer(
    await select({
      message: 'Which PrismaClient does async-gen use?',
      options: candidates.map((value) => ({
        value,
        label: `${value.name} in ${value.path}`,
        ...(isClient(value) ? {} : { hint: 'makes a PrismaClient' }),
      })),
    }),
  )
}

/** Asks about each conflict, unless the user gave one answer for all of them. */
export function conflictResolver(): (change: Change, more: boolean) => Promise<Decision> {
  let forAll: Decision | undefined
  return async (change, more) => {
    if (forAll) return forAll
    const decision = await askAboutConflict(change)
    if (!more) return decision
    const appliesToAll = requireAnswer(
      await select({
        message: 'Do the same for the conflicts that follow?',
        options: [
          { value: false, label: 'no, ask again' },
          { value: true, label: 'yes' },
        ],
      }),
    )
    if (appliesToAll) forAll = decision
    return decision
  }
}

async function askAboutConflict(change: Change): Promise<Decision> {
  // A schema with markers does not parse.
  const markers = change.path.endsWith('.prisma')
    ? []
    : [{ value: 'merge' as const, label: 'merge both, with conflict markers' }]
  const choice = requireAnswer(
    await select<Decision | 'show'>({
      message: `${change.path}: ${change.detail ?? 'the file exists, and async-gen did not write it'}`,
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
  return askAboutConflict(change)
}

export async function askToApply(diff: string[]): Promise<boolean> {
  log.message(diff.join('\n'))
  return requireAnswer(await confirm({ message: 'Apply these changes?' }))
}

/** The menu of a run without arguments. Returns the arguments of the chosen command. */
export async function askForCommand(): Promise<string[]> {
  const command = requireAnswer(
    await select({
      message: 'What would you like to do?',
      options: [
        { value: 'install', label: 'install', hint: 'run this first: cached methods, tasks and the worker' },
        { value: 'attempt', label: 'attempt', hint: 'background jobs, recorded in your transactions' },
        { value: 'reports', label: 'reports', hint: 'reports that the worker builds' },
        { value: 'dashboard', label: 'dashboard', hint: 'a web page over attempts, toasts, reports and workers' },
        { value: 'deploy', label: 'deploy', hint: 'run the worker in production' },
        { value: 'upgrade', label: 'upgrade', hint: 'merge newer templates with your edits' },
        { value: 'doctor', label: 'doctor', hint: 'check for problems' },
        { value: '--help', label: 'help', hint: 'list all commands' },
      ],
    }),
  )
  if (command === 'attempt') return [command, ...(await askForNames('Name of the model', 'Attempt'))]
  if (command === 'reports') return [command, ...(await askForNames('Names of the reports, separated by spaces', ''))]
  if (command === 'deploy') return [command, await askForDeployKind()]
  return [command]
}

async function askForDeployKind(): Promise<string> {
  const { deployKinds } = await import('../generators/definitions/deploy.js')
  return requireAnswer(
    await select({
      message: 'How does the worker run in production?',
      options: deployKinds.map((kind) => ({ value: kind, label: kind })),
    }),
  )
}

async function askForNames(message: string, defaultValue: string): Promise<string[]> {
  const given = requireAnswer(await text({ message, placeholder: defaultValue, defaultValue }))
  return given.split(/[\s,]+/).filter(Boolean)
}

/** A cancelled question ends the process. Nothing has been written at that point. */
function requireAnswer<T>(answer: T): Exclude<T, symbol> {
  if (isCancel(answer)) process.exit(130)
  return answer as Exclude<T, symbol>
}
