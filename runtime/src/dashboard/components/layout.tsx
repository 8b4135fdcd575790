import type { ComponentChildren } from 'preact'
import { printable } from '../../core/printable.js'
import { assetUrl } from '../assets/asset.js'
import { pathTo } from '../links.js'
import type { DashboardRole, DashboardSettings } from '../options.js'
import { Notice } from './notice.js'

export type Section =
  | 'overview'
  | 'attempts'
  | 'batches'
  | 'toasts'
  | 'reports'
  | 'workers'
  | 'schedules'
  | 'pauses'
  | 'limits'

interface LayoutProps {
  settings: DashboardSettings
  title: string
  /** Undefined for somebody who may not use the dashboard: the page has no links then. */
  role?: DashboardRole
  section?: Section
  /** The address of the page, for what the last action has done. */
  url?: URL
  children: ComponentChildren
}

/** The frame of each page. */
export function Layout({ settings, title, role, section, url, children }: LayoutProps) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex, nofollow" />
        <title>{`${printable(title, 200)} · async`}</title>
        <link rel="icon" href={assetUrl(settings, 'icon')} />
        <link rel="stylesheet" href={assetUrl(settings, 'styles')} />
        <script defer src={assetUrl(settings, 'script')} />
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <header class="site">
          <div class="bar">
            <a class="brand" href={pathTo(settings)}>
              <img src={assetUrl(settings, 'icon')} alt="" width="22" height="22" />
              async
            </a>
            {role && <Navigation settings={settings} section={section} />}
            {role && <User role={role} />}
          </div>
        </header>
        <main id="main">
          {url && <Notice parameters={url.searchParams} />}
          {children}
        </main>
        {role && (
          <footer>
            <span>All times are in UTC.</span>
            <span id="live" />
          </footer>
        )}
      </body>
    </html>
  )
}

/** The way back to the list of a class of attempts. */
export function AttemptsCrumb({ settings, name }: { settings: DashboardSettings; name: string }) {
  return (
    <p class="crumbs">
      <a href={pathTo(settings, 'attempts', name)}>{settings.attempts.length > 1 ? `Attempts: ${name}` : 'Attempts'}</a>
    </p>
  )
}

/** The way back to the list of the batches of a class. */
export function BatchesCrumb({ settings, name }: { settings: DashboardSettings; name: string }) {
  return (
    <p class="crumbs">
      <a href={pathTo(settings, 'batches', name)}>{settings.attempts.length > 1 ? `Batches: ${name}` : 'Batches'}</a>
    </p>
  )
}

const SECTIONS: [Section, string][] = [
  ['overview', 'Overview'],
  ['attempts', 'Attempts'],
  ['batches', 'Batches'],
  ['toasts', 'Toasts'],
  ['reports', 'Reports'],
  ['workers', 'Workers'],
  ['schedules', 'Schedules'],
  ['pauses', 'Pauses'],
  ['limits', 'Limits'],
]

/** Pages of a host that has a model of attempts. */
const OF_ATTEMPTS: readonly Section[] = ['attempts', 'batches', 'schedules', 'pauses', 'limits']

function Navigation({ settings, section }: { settings: DashboardSettings; section: Section | undefined }) {
  const isShown = (name: Section) => {
    if (name === 'reports') return settings.reports.length > 0
    return settings.attempts.length > 0 || !OF_ATTEMPTS.includes(name)
  }
  const shown = SECTIONS.filter(([name]) => isShown(name))
  return (
    <nav aria-label="Pages">
      {shown.map(([name, label]) => (
        <a
          key={name}
          href={name === 'overview' ? pathTo(settings) : pathTo(settings, name)}
          {...(name === section && { 'aria-current': 'page' as const })}
        >
          {label}
        </a>
      ))}
    </nav>
  )
}

function User({ role: { user, readOnly } }: { role: DashboardRole }) {
  if (user === undefined && !readOnly) return null
  return (
    <p class="user">
      {user !== undefined && <bdi>{printable(user, 60)}</bdi>}
      {readOnly && <span class="tag">read only</span>}
    </p>
  )
}
