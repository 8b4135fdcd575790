import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Task } from 'graphile-worker'
import { instrumentsItself } from '../telemetry/instrument.js'
import { toastsOf } from '../toast/registry.js'
import { refreshToastTask } from '../toast/tasks.js'
import { type ReportBase, type ReportClass, toastOf } from './report.js'

/** A task that knows where the classes of its reports are, so that a test can check it. */
export interface ReportTask extends Task {
  /** The absolute path of the folder. */
  readonly folder: string
}

/**
 * The Graphile Worker task that builds one report; its payload is `{ name, key }`.
 *
 * @param folder the folder of the report classes: all exported subclasses of `Report` in its modules are loaded
 */
export function refreshReportTask(Report: ReportBase, folder: URL | string): ReportTask {
  const path = resolve(typeof folder === 'string' ? folder : fileURLToPath(folder))
  const refresh = refreshToastTask(Report.db)
  let loaded: Promise<void> | undefined
  const task: Task = async (payload, helpers) => {
    loaded ??= loadReports(Report, path)
    await loaded
    return refresh(payload, helpers)
  }
  return instrumentsItself(Object.assign(task, { folder: path }))
}

async function loadReports(Report: ReportBase, path: string): Promise<void> {
  for (const file of (await readdir(path)).filter(isModule)) {
    const module: object = await import(pathToFileURL(join(path, file)).href)
    for (const exported of Object.values(module)) {
      if (typeof exported === 'function' && exported.prototype instanceof Report) {
        toastOf(exported as ReportClass, join(path, file))
      }
    }
  }
  toastsOf(Report.db).refuseDuplicates()
}

function isModule(file: string): boolean {
  return /\.[cm]?[jt]s$/.test(file) && !/\.(d|test|spec)\.[cm]?[jt]s$/.test(file)
}
