import type { ComponentChildren } from 'preact'
import type { DashboardSettings } from '../options.js'
import { Layout } from './layout.js'

/** A page that says why there is no other. */
export function Problem(props: { settings: DashboardSettings; title: string; message: ComponentChildren }) {
  return (
    <Layout settings={props.settings} title={props.title}>
      <h1>{props.title}</h1>
      <p>{props.message}</p>
    </Layout>
  )
}
