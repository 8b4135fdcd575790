import type { NodePlopAPI } from 'plop'
import { presentPlan } from '../changes/present.js'
import type { Generator } from '../definitions/generator.js'
import { register } from '../pipeline/plop.js'
import { generate } from './generate.js'

/** For a host's own plopfile: `await plop.load('async-gen/plopfile')`. Like the command line, it writes everything or nothing. */
export default function plopfile(plop: NodePlopAPI) {
  register(plop, (generator) => () => [(answers) => runFor(plop, generator, answers)])
}

async function runFor(plop: NodePlopAPI, generator: Generator, { name = '' }: { name?: string }): Promise<string> {
  const names = name.split(/[\s,]+/).filter(Boolean)
  const { plan, status } = await generate({ generator: generator.name, cwd: plop.getDestBasePath(), names })
  const text = presentPlan(plan).join('\n')
  if (status === 'blocked') throw new Error(`Nothing was written:\n${text}`)
  return `\n${text}`
}
