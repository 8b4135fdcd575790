import pc from 'picocolors'
import type { Change } from '../generators/changes/draft.js'
import type { Diagnosis } from '../generators/commands/doctor/doctor.js'
import type { Facts } from '../generators/commands/info.js'
import type { PlanOutcome } from '../generators/pipeline/plan-and-apply.js'
import type { InCommands } from './host-commands.js'

/** The result of a command: text for people, an object for programs. */
export interface CommandResult {
  lines: string[]
  json: object
  exitCode: number
}

interface PlanResultOptions {
  inCommands: InCommands
  showsDiff?: boolean | undefined
  showsIdentical?: boolean
}

/** What a plan changes, or changed, and what the user does next. */
export async function planResult(
  planned: PlanOutcome,
  { inCommands, showsDiff = false, showsIdentical = true }: PlanResultOptions,
): Promise<CommandResult> {
  const [{ planJson, presentPlan }, { presentDiff }] = await Promise.all([
    import('../generators/changes/present.js'),
    import('../generators/changes/present-diff.js'),
  ])
  const outcome = withCommands(planned, inCommands)
  const { plan, status, nextSteps } = outcome
  const isShown = ({ kind }: Change) => showsIdentical || kind !== 'identical'
  return {
    lines: [
      ...presentPlan({ ...plan, changes: plan.changes.filter(isShown) }, pc),
      ...(showsDiff ? ['', ...presentDiff(plan, pc)] : []),
      ...lastLines(outcome),
    ],
    json: { status, ...planJson(plan), nextSteps, ...(showsDiff && { diff: presentDiff(plan).join('\n') }) },
    exitCode: status === 'blocked' ? 3 : status === 'differs' ? 5 : 0,
  }
}

/** The texts of the files stay as they are. */
function withCommands({ plan, nextSteps, ...outcome }: PlanOutcome, inCommands: InCommands): PlanOutcome {
  const changes = plan.changes.map((change) =>
    change.detail === undefined ? change : { ...change, detail: inCommands(change.detail) },
  )
  return {
    ...outcome,
    plan: { ...plan, changes, notes: plan.notes.map(inCommands) },
    nextSteps: nextSteps.map(inCommands),
  }
}

function lastLines({ status, nextSteps }: PlanOutcome): string[] {
  switch (status) {
    case 'nothing to do':
      return ['', 'Nothing to do.']
    case 'blocked':
      return [
        '',
        `${pc.red('Nothing was written.')} Resolve the conflicts: run again with --on-conflict mine, theirs or merge. --diff shows both sides.`,
      ]
    case 'declined':
      return ['', 'Nothing was written.']
    case 'dry run':
      return ['', 'Dry run: nothing was written.']
    case 'differs':
      return ['', 'Check: nothing was written.']
    case 'applied':
      return nextSteps.length > 0
        ? ['', 'Next:', ...nextSteps.map((step, i) => `  ${i + 1}. ${step.replaceAll('\n', '\n     ')}`)]
        : []
  }
}

/** What doctor found. It exits with 5 on a finding and, with `check`, with 6 if it could not check everything. */
export function doctorResult(diagnosis: Diagnosis, inCommands: InCommands, check = false): CommandResult {
  const { healthy } = diagnosis
  const said = <Problem extends { message: string; remedy: string }>(problem: Problem): Problem => ({
    ...problem,
    message: inCommands(problem.message),
    remedy: inCommands(problem.remedy),
  })
  const findings = diagnosis.findings.map(said)
  const unchecked = diagnosis.unchecked.map(said)
  const label = {
    error: pc.red('error'),
    warning: pc.yellow('warn'),
    note: pc.yellow('note'),
    fixed: pc.green('fixed'),
  }
  return {
    lines: [
      ...findings.flatMap(({ severity, code, message, where, remedy }) => [
        `${label[severity]}  ${withoutControls(message)}  ${pc.dim(`[${code}]`)}`,
        ...(where ? [`    in  ${where}`] : []),
        ...(severity === 'fixed' ? [] : [`    do  ${remedy}`]),
      ]),
      ...unchecked
        .filter(({ code }) => findings.every((finding) => finding.code !== code))
        .flatMap(({ code, message, remedy }) => [
          `${pc.yellow('note')}  ${message}  ${pc.dim(`[${code}]`)}`,
          `    do  ${remedy}`,
        ]),
      healthy ? pc.green(unchecked.length > 0 ? 'doctor found no problem in the project.' : 'All is well.') : '',
    ],
    json: { healthy, findings, unchecked },
    exitCode: !healthy ? 5 : check && unchecked.length > 0 ? 6 : 0,
  }
}

/** A message may quote text from the database, which must not control the terminal. */
function withoutControls(message: string): string {
  return message.replace(/(?!\n)[\p{Cc}\p{Cf}]/gu, ' ')
}

export async function infoResult(facts: Facts, inCommands: InCommands): Promise<CommandResult> {
  const { describe } = await import('../generators/commands/info.js')
  const lines = describe(facts).map(([label, text]) => `${pc.dim(label.padStart(16))}  ${inCommands(text)}`)
  return { lines, json: { host: facts }, exitCode: 0 }
}

export function templatesResult(templates: string[]): CommandResult {
  return { lines: templates, json: { templates }, exitCode: 0 }
}
