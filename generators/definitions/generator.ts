import type { PlopGeneratorConfig } from 'plop'
import type { Write } from '../changes/draft.js'
import type { Emission } from '../changes/stage.js'
import type { Host } from '../host/inspect.js'
import type { ClientExport, ClientSource } from '../host/prisma-client.js'

/** What a generator needs to know beside the host. */
export interface GeneratorAnswers {
  /** The folder for the code: `src/async`. */
  dir: string
  client: ClientExport
  /** What the emitted client.ts makes the client from; absent if the host exports a client. */
  clientSource?: ClientSource | undefined
  /** The environment variables with the database URL. The first one that is set counts. */
  urlVariables: string[]
  /** The names on the command line, as class names: `EmailAttempt`. */
  names: string[]
  /** The model of the reports: `SalesReport`. */
  model?: string | undefined
  /** Whether attempts are encrypted unless a call names another encryptor. */
  encrypted?: boolean | undefined
  /** The models whose changes make toasts stale: `Oat`, `Topping.oat`. */
  invalidateOn?: string[] | undefined
  /** The framework that shows the dashboard. */
  framework?: string | undefined
  /** What the generators have written in this host before. */
  generated: GeneratedClasses
}

/** The names of the classes of attempts, and of the reports. */
export interface GeneratedClasses {
  attempts: string[]
  reports: string[]
}

export const GENERATORS = ['install', 'attempt', 'reports', 'dashboard', 'deploy'] as const
export type GeneratorName = (typeof GENERATORS)[number]

/** What can show the dashboard, in the order in which it is looked for in package.json. */
export const FRAMEWORKS = ['nestjs', 'next', 'fastify', 'hono', 'express', 'http'] as const
export type Framework = (typeof FRAMEWORKS)[number]

/** One generator: data, and pure functions. */
export interface Generator {
  name: GeneratorName
  description: string
  /** The questions of plop, in a host's own plopfile. */
  prompts: PlopGeneratorConfig['prompts']
  /** Checks and normalizes a name. Default: `className`. */
  parseName?(given: string): string
  /** The owner of the emitted files in the manifest. Each run with another model has its own owner. */
  owner(answers: GeneratorAnswers): string
  emissions(host: Host, answers: GeneratorAnswers): Emission[]
  /** The user's first step after a run that has written these files, one sentence. */
  firstEdit(answers: GeneratorAnswers, writes: readonly Write[]): string
}
