import type { DashboardSettings } from './options.js'

/** The address of a page: `pathTo(settings, 'attempts', 'Attempt', '42')`. */
export function pathTo({ basePath }: DashboardSettings, ...parts: string[]): string {
  const path = parts.map((part) => `/${encodeURIComponent(part.toWellFormed())}`).join('')
  return `${basePath}${path}` || '/'
}

/** An address with parameters. Those that are undefined or empty are left out. */
export function withQuery(path: string, parameters: Record<string, string | undefined>): string {
  const entries = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]))
  const query = new URLSearchParams(entries).toString()
  return query === '' ? path : `${path}?${query}`
}
