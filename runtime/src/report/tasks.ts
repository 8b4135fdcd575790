import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Task } from 'graphile-worker'
import { instrumentsItself } from '../telemetry/instrument.js'
import { toastsOf } from '../toast/registry.js'
import { refreshToastTask } from '../toast/tasks.js'
import { type ReportBase, type ReportClass, toastOf } from './report.js'

/**
 * The Graphile Worker task that builds one report; its payload is `{ name, key }`.
 *
 * @param folder the folder of the report classes: all exported subclasses of `Report` in its modules are loaded
 */
export function refreshReportTask(Report: ReportBase, folder: URL | string): Task {
  const refresh = refreshToastTask(Report.db)
  let loaded: Promise<void> | undefined
  return instrumentsItself<Task>(async (payload, helpers) => {
    loaded ??= loadReports(Report, folder)
    await loaded
    return refresh(payload, helpers)
  })
}

async function loadReports(Report: ReportBase, folder: URL | string): Promise<void> {
  const path = typeof folder === 'string' ? folder : fileURLToPath(folder)
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
