import nodePlop from 'node-plop'
import type { ActionConfig, Actions, NodePlopAPI } from 'plop'
import { type Emission, type Staged, stage, type Templates } from '../changes/stage.js'
import { attempt } from '../definitions/attempt.js'
import { dashboard } from '../definitions/dashboard.js'
import { deploy } from '../definitions/deploy.js'
import type { Generator, GeneratorAnswers } from '../definitions/generator.js'
import { install } from '../definitions/install.js'
import { reports } from '../definitions/reports.js'
import type { Host } from '../host/inspect.js'

export const generators = [install, attempt, reports, dashboard, deploy]

/** Registers the generators with plop, each with its actions. */
export function register(plop: NodePlopAPI, actionsOf: (generator: Generator) => Actions) {
  for (const generator of generators) {
    const { name, description, prompts } = generator
    plop.setGenerator(name, { description, prompts, actions: actionsOf(generator) })
  }
}

/** A generator, and the answers with which it is staged. */
export interface StagedRun {
  generator: Generator
  answers: GeneratorAnswers
}

/**
 * Runs generators with plop, into memory. The only action, `stage`, renders templates. We do not use plop's own actions: they
 * write at once, and leave the files behind if a later action fails.
 */
export async function stageWithPlop(runs: StagedRun[], host: Host, templates: Templates): Promise<Staged[]> {
  const staged: Staged[] = []
  const plop = await nodePlop()
  plop.setActionType('stage', (_answers, config) => {
    staged.push(...stage(config.emissions, templates))
    return ''
  })
  for (const { generator, answers } of runs) {
    const { name, description, prompts } = generator
    plop.setGenerator(name, { description, prompts, actions: [stageAction(generator.emissions(host, answers))] })
    const { failures } = await plop.getGenerator(name).runActions({})
    // The action is synchronous, so plop returns the error itself, with its stack.
    if (failures[0]) throw failures[0]
  }
  return staged
}

function stageAction(emissions: Emission[]): ActionConfig & { emissions: Emission[] } {
  return { type: 'stage', emissions }
}
