import type { ComponentChildren } from 'preact'
import { assetUrl } from '../assets/asset.js'
import type { DashboardSettings } from '../options.js'

interface LayoutProps {
  settings: DashboardSettings
  title: string
  children: ComponentChildren
}

/** The frame of each page. */
export function Layout({ settings, title, children }: LayoutProps) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex, nofollow" />
        <title>{`${title} · async`}</title>
        <link rel="icon" href={assetUrl(settings, 'icon')} />
        <link rel="stylesheet" href={assetUrl(settings, 'styles')} />
        <script defer src={assetUrl(settings, 'script')} />
      </head>
      <body>
        <main id="main">
          <h1>{title}</h1>
          {children}
        </main>
      </body>
    </html>
  )
}
