import { recover } from './changes/commit.js'
import { readJournal } from './changes/journal.js'
import { type Manifest, readManifest } from './changes/manifest.js'
import { databaseFindings } from './doctor/database.js'
import { type Finding, findingOf } from './doctor/finding.js'
import { projectFindings } from './doctor/project.js'
import { GeneratorError } from './host/errors.js'
import { type Host, inspect } from './host/inspect.js'
import { DATABASE_URL } from './host/url-variables.js'
import { generate } from './run.js'
import { given, type Place } from './session.js'

export interface Diagnosis {
  findings: Finding[]
  /** Nothing is wrong: what was has been mended. */
  healthy: boolean
}

export interface DoctorRequest extends Place {
  /** Mends what can be mended without the user. */
  fix?: boolean | undefined
  /** Where the database is; `DATABASE_URL` where it is not given. */
  databaseUrl?: string | undefined
}

/** Finds what is wrong with a host: its files, what is installed, and its database where a URL is at hand. */
export async function doctor(request: DoctorRequest): Promise<Diagnosis> {
  const findings: Finding[] = []
  /** What the step gives, or the error that it ends with, as a finding. */
  const attempt = async <T>(step: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await step()
    } catch (error) {
      if (!(error instanceof GeneratorError)) throw error
      findings.push(findingOf(error))
      return null
    }
  }

  await attempt(() => findings.push(...interruptedRun(request)))
  const manifest = await attempt(() => readManifest(request.cwd))
  const host = await attempt(() => inspectAs(request, manifest))
  if (host && !manifest) findings.push(notInstalled)
  if (host && manifest) {
    findings.push(...(await withPackages(request, projectFindings(host, manifest))))
    const url = request.databaseUrl ?? databaseUrl(manifest)
    if (url) findings.push(...(await databaseFindings(host, manifest, url)))
  }
  return { findings, healthy: findings.every(({ severity }) => severity === 'fixed') }
}

/** The variables that the host's own client reads, in its order. */
function databaseUrl({ settings: { urlVariables = [DATABASE_URL] } }: Manifest): string | undefined {
  return urlVariables.map((name) => process.env[name]).find(Boolean)
}

function inspectAs(place: Place, manifest: Manifest | null): Promise<Host> {
  return inspect(place.cwd, { ...manifest?.settings, ...given(place) })
}

function interruptedRun({ cwd, fix }: DoctorRequest): Finding[] {
  const journal = readJournal(cwd)
  if (!journal) return []
  const found = { code: 'INTERRUPTED', where: '.async-gen/journal.json', remedy: 'npx async-gen doctor --fix' }
  if (!fix) return [{ ...found, severity: 'error', message: 'An earlier run was interrupted in the middle.' }]
  const { finished } = recover(cwd, journal)
  const message = `An earlier run was interrupted, and has been ${finished ? 'finished' : 'taken back'}.`
  return [{ ...found, severity: 'fixed', message }]
}

/** package.json may have lost what `install` put into it: that can be put back. */
async function withPackages({ fix, ...place }: DoctorRequest, findings: Finding[]): Promise<Finding[]> {
  const isLost = ({ code }: Finding) => code === 'PACKAGE_NOT_NAMED'
  if (!fix || !findings.some(isLost)) return findings
  await generate({ ...place, generator: 'install', names: [], onConflict: 'mine' })
  return findings.map((finding) =>
    isLost(finding)
      ? { ...finding, severity: 'fixed', message: `${finding.message} It does now: install it.` }
      : finding,
  )
}

const notInstalled: Finding = {
  severity: 'error',
  code: 'NOT_INSTALLED',
  message: 'async-gen is not installed here: there is no .async-gen/manifest.json.',
  remedy: 'npx async-gen install',
}
