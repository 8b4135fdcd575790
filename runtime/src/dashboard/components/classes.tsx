import { pathTo } from '../links.js'
import type { DashboardSettings } from '../options.js'

interface ClassesProps {
  settings: DashboardSettings
  /** The name of the class that the page shows. */
  current: string
  section: 'attempts' | 'batches'
}

/** The same page for the other classes of attempts, if there are several. */
export function Classes({ settings, current, section }: ClassesProps) {
  if (settings.attempts.length === 1) return null
  return (
    <nav class="classes" aria-label="Classes of attempts">
      {settings.attempts.map(({ name }) => (
        <a
          key={name}
          href={pathTo(settings, section, name)}
          {...(name === current && { 'aria-current': 'page' as const })}
        >
          {name}
        </a>
      ))}
    </nav>
  )
}
