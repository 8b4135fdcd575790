import { assetResponse } from './assets/asset.js'
import { type PageContext, PageError } from './page.js'
import { overviewPage } from './pages/overview.js'

/** @throws PageError */
export async function pageOf(context: Omit<PageContext, 'url' | 'path'>): Promise<Response> {
  const url = new URL(context.request.url)
  const path = pathOf(context.settings.basePath, url.pathname)
  const [section = ''] = path
  if (section === 'assets') return assetResponse(context.settings, path[1] ?? '')
  if (section === '') return await overviewPage({ ...context, url, path })
  throw new PageError(404, 'There is no such page.')
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
