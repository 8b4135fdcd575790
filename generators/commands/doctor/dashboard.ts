import { hashOf, type Manifest } from '../../changes/manifest.js'
import { classesMissingIn } from '../../definitions/dashboard.js'
import { readText } from '../../host/files.js'
import type { Host } from '../../host/inspect.js'
import { generatedClasses } from '../../pipeline/answers.js'
import type { Finding } from './finding.js'

/** What the emitted dashboard does not do yet. Both may be meant, so they are notes. */
export function dashboardFindings({ root }: Host, manifest: Manifest): Finding[] {
  const where = `${manifest.settings.dir}/dashboard.ts`
  const text = manifest.files[where] ? readText(root, where) : null
  if (text === null) return []
  const missing = classesMissingIn(text, generatedClasses(manifest))
  const isAsEmitted = hashOf(text) === manifest.files[where]!.hash
  return [...(missing.length > 0 ? [incomplete(missing, where)] : []), ...(isAsEmitted ? [closed(where)] : [])]
}

function incomplete(missing: string[], where: string): Finding {
  return {
    severity: 'note',
    code: 'DASHBOARD_INCOMPLETE',
    message: `The dashboard does not show ${missing.join(', ')}.`,
    where,
    remedy: 'Run: npx async-gen dashboard. It adds what was generated since.',
  }
}

function closed(where: string): Finding {
  return {
    severity: 'note',
    code: 'DASHBOARD_CLOSED',
    message: 'Nobody may use the dashboard in production: the function authorize() is as it was generated.',
    where,
    remedy: 'Say in authorize() who may use it.',
  }
}
