import { recover } from './changes/commit.js'
import { JOURNAL, readJournal } from './changes/journal.js'
import { MANIFEST, type Manifest, readManifest } from './changes/manifest.js'
import { databaseFindings } from './doctor/database.js'
import { type Finding, findingOf } from './doctor/finding.js'
import { projectFindings } from './doctor/project.js'
import { openDatabase, type Unreachable } from './host/database.js'
import { GeneratorError } from './host/errors.js'
import { type Host, inspect } from './host/inspect.js'
import { generate } from './run.js'
import { given, notInstalled, type Place } from './session.js'

export interface Diagnosis {
  findings: Finding[]
  /** What could not be looked at, and why. */
  unchecked: Unchecked[]
  /** Nothing is wrong, or `fix` has repaired all of it. What is in `unchecked` does not count. */
  healthy: boolean
}

export interface Unchecked {
  what: 'database'
  /** Stable, in capitals. */
  code: Unreachable['code']
  message: string
  remedy: string
}

export interface DoctorRequest extends Place {
  /** Repairs what needs no decision of the user. */
  fix?: boolean | undefined
  /** Where the database is; what the host's database.ts names where it is not given. */
  databaseUrl?: string | undefined
}

/** Finds what is wrong with a host: its files, what is installed, and its database where a URL is at hand. */
export async function doctor(request: DoctorRequest): Promise<Diagnosis> {
  const findings: Finding[] = []
  const unchecked: Unchecked[] = []
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
  if (host && !manifest) findings.push({ severity: 'error', ...notInstalled(MANIFEST) })
  if (host && manifest) {
    findings.push(...(await withPackages(request, projectFindings(host, manifest))))
    const database = await lookIntoDatabase(host, manifest, request.databaseUrl)
    findings.push(...database.findings)
    unchecked.push(...database.unchecked)
  }
  return { findings, unchecked, healthy: findings.every(({ severity }) => severity === 'fixed') }
}

/** A URL that leads nowhere is a finding as well: somebody set it. */
async function lookIntoDatabase(host: Host, manifest: Manifest, url: string | undefined) {
  const opened = await openDatabase(host.root, manifest.settings.dir, url)
  if ('client' in opened) {
    try {
      return { findings: await databaseFindings(opened.client, opened.url, host, manifest), unchecked: [] }
    } finally {
      await opened.client.end()
    }
  }
  const { code, message, where, remedy } = opened.unreachable
  const said = { code, message: `The database was not checked: ${message}`, where, remedy }
  const isSet = code === 'DATABASE_UNREACHABLE' || code === 'DATABASE_ABSENT'
  return {
    findings: isSet ? [{ severity: 'warning' as const, ...said }] : [],
    unchecked: [{ what: 'database' as const, code, message: said.message, remedy }],
  }
}

function inspectAs(place: Place, manifest: Manifest | null): Promise<Host> {
  return inspect(place.cwd, { ...manifest?.settings, ...given(place) })
}

function interruptedRun({ cwd, fix }: DoctorRequest): Finding[] {
  const journal = readJournal(cwd)
  if (!journal) return []
  const found = { code: 'INTERRUPTED', where: JOURNAL, remedy: 'npx async-gen doctor --fix' }
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
