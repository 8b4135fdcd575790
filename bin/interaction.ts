import pc from 'picocolors'
import type { Plan } from '../generators/changes/plan.js'
import type { Flags } from './flags.js'

/** Whether a person can answer questions: on a terminal, outside CI, and without --yes and --json. */
export function isInteractive({ yes, json }: Partial<Flags>): boolean {
  return Boolean(process.stdin.isTTY && process.stdout.isTTY && !process.env.CI && !yes && !json)
}

/** The flags of a command that writes files, with the questions that it may ask. */
export async function planFlags(flags: Flags) {
  const planned = { ...flags, dryRun: flags.dryRun || flags.diff }
  if (!isInteractive(flags)) return planned
  const { askForClient, askToApply, conflictResolver } = await import('./ask.js')
  const { presentDiff } = await import('../generators/changes/present-diff.js')
  return {
    ...planned,
    chooseClient: askForClient,
    ...(!flags.onConflict && { resolveConflict: conflictResolver() }),
    confirm: (plan: Plan) => askToApply(presentDiff(plan, pc)),
  }
}
