import { assetResponse } from './assets/asset.js'
import { requireOwnForm } from './csrf.js'
import { formOf } from './form.js'
import { pathTo } from './links.js'
import { type PageContext, PageError } from './page.js'
import { actOnAttempts } from './pages/act.js'
import { attemptPage } from './pages/attempt.js'
import { attemptsPage } from './pages/attempts.js'
import { actOnBatch, batchPage, confirmBatchPage } from './pages/batch.js'
import { batchesPage } from './pages/batches.js'
import { actOnReports, confirmBuildPage } from './pages/build.js'
import { confirmPage } from './pages/confirm.js'
import { limitsPage } from './pages/limits.js'
import { overviewPage } from './pages/overview.js'
import { actOnPause, confirmPausePage, pausesPage } from './pages/pauses.js'
import { actOnToasts, confirmRefreshPage } from './pages/refresh.js'
import { reportPage } from './pages/report.js'
import { reportsPage } from './pages/reports.js'
import { schedulesPage } from './pages/schedules.js'
import { toastPage } from './pages/toast.js'
import { toastsPage } from './pages/toasts.js'
import { workersPage } from './pages/workers.js'
import { seeOther } from './respond.js'

/**
 * Answers a request of somebody who may use the dashboard.
 * @throws PageError
 */
export async function route(request: Omit<PageContext, 'url' | 'path'>): Promise<Response> {
  const url = new URL(request.request.url)
  const context = { ...request, url, path: pathOf(request.settings.basePath, url.pathname) }
  const { method } = context.request
  if (method === 'GET' || method === 'HEAD') return await show(context)
  if (method === 'POST') return await act(context)
  throw new PageError(405, 'The dashboard takes GET and POST only.')
}

async function show(context: PageContext): Promise<Response> {
  const { settings, path } = context
  const [section = '', first, second, third] = path
  switch (section) {
    case '':
      return await overviewPage(context)
    case 'assets':
      return assetResponse(settings, first ?? '')
    case 'attempts': {
      const [only] = settings.attempts
      if (first === undefined && only) return seeOther(settings, pathTo(settings, 'attempts', only.name))
      if (second === 'confirm') return await confirmPage(mayAct(context))
      return second === undefined ? await attemptsPage(context) : await attemptPage(context)
    }
    case 'batches': {
      const [only] = settings.attempts
      if (first === undefined && only) return seeOther(settings, pathTo(settings, 'batches', only.name))
      if (third === 'confirm') return await confirmBatchPage(mayAct(context))
      return second === undefined ? await batchesPage(context) : await batchPage(context)
    }
    case 'toasts':
      if (first === 'confirm') return await confirmRefreshPage(mayAct(context))
      return first === undefined ? await toastsPage(context) : await toastPage(context)
    case 'reports':
      if (first === 'confirm') return await confirmBuildPage(mayAct(context))
      return first === undefined ? await reportsPage(context) : await reportPage(context)
    case 'workers':
      return await workersPage(context)
    case 'schedules':
      return await schedulesPage(context)
    case 'limits':
      return await limitsPage(context)
    case 'pauses':
      return first === undefined ? await pausesPage(context) : await confirmPausePage(mayAct(context))
    default:
      throw new PageError(404, 'There is no such page.')
  }
}

async function act(context: PageContext): Promise<Response> {
  const { request, path } = mayAct(context)
  const form = await formOf(request)
  requireOwnForm(request, form.get('csrf'))
  switch (`${path[0]}/${path.at(-1)}`) {
    case 'attempts/act':
      return await actOnAttempts(context, form)
    case 'batches/act':
      return await actOnBatch(context)
    case 'toasts/act':
      return await actOnToasts(context, form)
    case 'reports/act':
      return await actOnReports(context, form)
    case 'pauses/act':
      return await actOnPause(context, form)
    default:
      throw new PageError(404, 'There is no such action.')
  }
}

function mayAct(context: PageContext): PageContext {
  if (context.role.readOnly) throw new PageError(403, 'You may look, but not change anything.')
  return context
}

function pathOf(basePath: string, pathname: string): string[] {
  if (pathname !== basePath && !pathname.startsWith(`${basePath}/`)) throw new PageError(404, 'There is no such page.')
  try {
    return pathname
      .slice(basePath.length)
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent)
  } catch {
    throw new PageError(400, 'The address is not valid.')
  }
}
