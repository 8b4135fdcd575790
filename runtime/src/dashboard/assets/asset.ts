import { createHash } from 'node:crypto'
import { securityHeaders } from '../headers.js'
import type { DashboardSettings } from '../options.js'
import { PageError } from '../page.js'
import { icon } from './icon.js'
import { script } from './script.js'
import { styles } from './styles.js'

interface Asset {
  name: string
  type: string
  content: string
}

const assets = {
  styles: asset('css', 'text/css; charset=utf-8', styles),
  script: asset('js', 'text/javascript; charset=utf-8', script),
  icon: asset('svg', 'image/svg+xml', icon),
}

/** The content is in the name, so a browser may keep it for ever. */
function asset(extension: string, type: string, content: string): Asset {
  const hash = createHash('sha256').update(content).digest('base64url').slice(0, 16)
  return { name: `${hash}.${extension}`, type, content }
}

export function assetUrl({ basePath }: DashboardSettings, key: keyof typeof assets): string {
  return `${basePath}/assets/${assets[key].name}`
}

export function assetResponse(settings: DashboardSettings, name: string): Response {
  const found = Object.values(assets).find((each) => each.name === name)
  if (!found) throw new PageError(404, 'There is no such file.')
  const headers = {
    ...securityHeaders(settings),
    'content-type': found.type,
    'cache-control': 'private, max-age=31536000, immutable',
  }
  return new Response(found.content, { headers })
}
