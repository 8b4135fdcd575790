import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import type { AttemptClass } from '../../attempt/attempt.js'
import { rootOf } from '../../attempt/subclasses.js'
import type { Database } from '../../core/database.js'
import { AsyncGenError } from '../../core/errors.js'
import type { ReportClass } from '../../report/report.js'
import { findWorkerModule, loadModule } from '../../worker/module.js'
import { UsageError } from '../usage.js'

/**
 * The database of the host: what the module database.ts beside the worker module exports as `db`.
 * @param worker the path of the worker module that the user gave, if any
 * @throws AsyncGenError NO_WORKER_MODULE, NO_DATABASE, NO_TYPESCRIPT
 */
export async function hostDatabase(worker: string | undefined): Promise<Database> {
  const folder = dirname(findWorkerModule(process.cwd(), worker))
  const module = ['.ts', '.mts', '.js', '.mjs', '.cjs']
    .map((extension) => join(folder, `database${extension}`))
    .find(existsSync)
  const db = module && ((await loadModule(module)).db as Database | undefined)
  if (db) return db
  throw new AsyncGenError(
    'NO_DATABASE',
    `The folder ${folder} has no module database.ts (or .js) that exports db. The command needs it beside the worker module.`,
  )
}

/**
 * The class of attempts that the user means: the only one beside the worker module, or that of `--model`.
 * @throws AsyncGenError NO_ATTEMPTS, NO_WORKER_MODULE; UsageError
 */
export async function hostClass(worker: string | undefined, model: string | undefined): Promise<AttemptClass> {
  const folder = dirname(findWorkerModule(process.cwd(), worker))
  const classes = await attemptClasses(folder, extname(findWorkerModule(process.cwd(), worker)))
  const models = [...classes.keys()].sort()
  if (models.length === 0) {
    throw new AsyncGenError(
      'NO_ATTEMPTS',
      `No module in ${folder} exports a class that extends BaseAttempt(…). Name the worker module that has one beside it: --worker <path>.`,
    )
  }
  if (model === undefined && models.length > 1)
    throw new UsageError(`There are several models of attempts: ${models.join(', ')}. Choose one with --model.`)
  const found = classes.get(model ?? models[0]!)
  if (!found) throw new UsageError(`No class of attempts has the model "${model}". There is: ${models.join(', ')}.`)
  return found
}

/** The classes of attempts beside the worker module, by their models. None if a module does not load: for what is only shown. */
export async function loadedClasses(worker: string | undefined): Promise<Map<string, AttemptClass>> {
  return await classesBeside(worker).catch(() => new Map())
}

/** The classes of attempts beside the worker module, by their models. */
export async function classesBeside(worker: string | undefined): Promise<Map<string, AttemptClass>> {
  const module = findWorkerModule(process.cwd(), worker)
  return await attemptClasses(dirname(module), extname(module))
}

/** The classes of reports in the folder reports/ beside the worker module. */
export async function reportsBeside(worker: string | undefined): Promise<ReportClass[]> {
  const module = findWorkerModule(process.cwd(), worker)
  const folder = join(dirname(module), 'reports')
  if (!existsSync(folder)) return []
  const classes = new Set<ReportClass>()
  for (const file of modulesIn(folder, extname(module))) {
    for (const exported of Object.values(await loadModule(file))) if (isReportClass(exported)) classes.add(exported)
  }
  return [...classes]
}

/** The classes that extend BaseAttempt(…), by their models. Only modules that mention it are imported. */
async function attemptClasses(folder: string, extension: string): Promise<Map<string, AttemptClass>> {
  const files = modulesIn(folder, extension).filter((file) =>
    /\bBaseAttempt\b|\bextends \w*Attempt\b/.test(readFileSync(file, 'utf8')),
  )
  const classes = new Map<string, AttemptClass>()
  for (const file of files) {
    const module = await loadModule(file)
    for (const exported of [...Object.values(module), ...Object.values(Object(module.default))]) {
      if (isAttemptClass(exported)) classes.set(exported.model, rootOf(exported))
    }
  }
  return classes
}

function modulesIn(folder: string, extension: string): string[] {
  return readdirSync(folder)
    .filter((file) => extname(file) === extension && !/\.(d|test|spec|factory)\.[cm]?[jt]s$/.test(file))
    .map((file) => join(folder, file))
}

/** By its shape, like `isAttemptClass`. */
function isReportClass(value: unknown): value is ReportClass {
  return typeof value === 'function' && 'store' in value && 'task' in value && 'type' in value
}

/** By its shape: the host may have another copy of this package. */
function isAttemptClass(value: unknown): value is AttemptClass {
  return typeof value === 'function' && 'store' in value && 'model' in value && 'retryAll' in value
}
