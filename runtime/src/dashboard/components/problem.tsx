import type { DashboardRole, DashboardSettings } from '../options.js'
import { Layout } from './layout.js'

interface ProblemProps {
  settings: DashboardSettings
  /** Undefined for somebody who may not use the dashboard. */
  role: DashboardRole | undefined
  title: string
  message: string
}

/** A page that says why there is no other. */
export function Problem({ settings, role, title, message }: ProblemProps) {
  return (
    <Layout settings={settings} {...(role && { role })} title={title}>
      <h1>{title}</h1>
      <p>{message}</p>
    </Layout>
  )
}
