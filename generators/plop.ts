import nodePlop from 'node-plop'
import type { ActionConfig, Actions, NodePlopAPI } from 'plop'
import { attempt } from './attempt.js'
import { type Emission, type Staged, stage, type Templates } from './changes/stage.js'
import { deploy } from './deploy.js'
import type { Answers, Generator } from './generator.js'
import type { Host } from './host/inspect.js'
import { install } from './install.js'
import { reports } from './reports.js'

export const generators = [install, attempt, reports, deploy]

/** Puts the generators into a plop registry, each with the actions that it is to run there. */
export function register(plop: NodePlopAPI, actionsOf: (generator: Generator) => Actions) {
  for (const generator of generators) {
    const { name, description, prompts } = generator
    plop.setGenerator(name, { description, prompts, actions: actionsOf(generator) })
  }
}

/** One run of a generator. */
export interface Run {
  generator: Generator
  answers: Answers
}

/**
 * Runs generators with plop, into memory. There is one action, `stage`, and it only renders: plop's own actions write at
 * once, and what is written stays when a later one fails.
 */
export async function stageWithPlop(runs: Run[], host: Host, templates: Templates): Promise<Staged[]> {
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
    // The action is synchronous, so what plop collects is the error itself, with its stack.
    if (failures[0]) throw failures[0]
  }
  return staged
}

function stageAction(emissions: Emission[]): ActionConfig & { emissions: Emission[] } {
  return { type: 'stage', emissions }
}
