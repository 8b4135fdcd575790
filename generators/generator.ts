import type { PlopGeneratorConfig } from 'plop'
import type { Emission } from './changes/stage.js'
import type { Host } from './host/inspect.js'
import type { ClientExport, ClientSource } from './host/prisma-client.js'

/** What every generator needs to know beside the host. */
export interface Answers {
  /** The folder for the code: `src/async`. */
  dir: string
  client: ClientExport
  /** What the emitted module `client.ts` makes the client from, where the host exports none. */
  clientSource?: ClientSource | undefined
  /** The environment variables that hold the database's URL: the first one that is set counts. */
  urlVariables: string[]
  /** The classes that were named: `EmailAttempt`. */
  names: string[]
  /** The model of a generator that has one, where it is not the usual: `SalesReport`. */
  model?: string | undefined
  /** Whether the arguments of attempts are encrypted unless said otherwise. */
  encrypted?: boolean | undefined
  /** Whose changes make toasts stale from SQL: `Oat`, `Topping.oat`. */
  invalidateOn?: string[] | undefined
}

export const GENERATORS = ['install', 'attempt', 'reports', 'deploy'] as const
export type GeneratorName = (typeof GENERATORS)[number]

/** One generator. All of it is data and pure functions of data. */
export interface Generator {
  name: GeneratorName
  description: string
  /** What plop asks, in a host's own plopfile. */
  prompts: PlopGeneratorConfig['prompts']
  /** Checks a name that was given, and spells it as `names` has it. Where it is absent, names are those of classes. */
  parseName?(given: string): string
  /** Whose the emitted files are: a generator that can run several times has an owner for each. */
  owner(answers: Answers): string
  emissions(host: Host, answers: Answers): Emission[]
  /** What to do first with what was emitted, a sentence. */
  firstEdit(answers: Answers): string
}
