import { recover } from '../../changes/commit.js'
import { JOURNAL, readJournal } from '../../changes/journal.js'
import { MANIFEST, type Manifest, readManifest } from '../../changes/manifest.js'
import { openDatabase, type Unreachable } from '../../host/database.js'
import { GeneratorError } from '../../host/errors.js'
import { type Host, inspect } from '../../host/inspect.js'
import { type HostLocation, locationFlags, notInstalled } from '../../pipeline/session.js'
import { generate } from '../generate.js'
import { databaseFindings } from './database.js'
import { type Finding, findingOf } from './finding.js'
import { outdatedContract } from './prisma-8.js'
import { projectFindings } from './project.js'

export interface Diagnosis {
  findings: Finding[]
  /** What could not be checked, and why. */
  unchecked: Unchecked[]
  /** Whether there is no finding, or `fix` has fixed all of them. Notes and `unchecked` do not count. */
  healthy: boolean
}

export interface Unchecked {
  what: 'database'
  /** Stable, for scripts and searches. */
  code: Unreachable['code']
  message: string
  remedy: string
}

export interface DoctorRequest extends HostLocation {
  /** Fixes the problems that need no decision of the user. */
  fix?: boolean | undefined
  /** The URL of the database; default: the environment variable that the host's database.ts reads. */
  databaseUrl?: string | undefined
}

/** Checks a host: its files, its packages and, if its URL is set, its database. */
export async function doctor(request: DoctorRequest): Promise<Diagnosis> {
  const findings: Finding[] = []
  const unchecked: Unchecked[] = []
  /** Runs a check. Its error becomes a finding. */
  const check = async <T>(step: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await step()
    } catch (error) {
      if (!(error instanceof GeneratorError)) throw error
      findings.push(findingOf(error))
      return null
    }
  }

  await check(() => findings.push(...interruptedRun(request)))
  const manifest = await check(() => readManifest(request.cwd))
  const host = await check(() => inspectAs(request, manifest))
  if (host && !manifest) findings.push(findingOf(notInstalled(MANIFEST)))
  if (host && manifest) {
    findings.push(...(await restorePackages(request, projectFindings(host, manifest))))
    await check(async () => findings.push(...(await outdatedContract(host))))
    const database = await checkDatabase(host, manifest, request.databaseUrl)
    findings.push(...database.findings)
    unchecked.push(...database.unchecked)
  }
  return { findings, unchecked, healthy: findings.every(({ severity }) => severity === 'fixed' || severity === 'note') }
}

/** A URL that is set but does not work is also a finding. */
async function checkDatabase(host: Host, manifest: Manifest, url: string | undefined) {
  const opened = await openDatabase(host.root, manifest.settings.dir, url)
  if ('client' in opened) {
    try {
      return { findings: await databaseFindings(opened.client, opened.url, host, manifest), unchecked: [] }
    } finally {
      await opened.client.end()
    }
  }
  const { code, message, where, remedy } = opened.unreachable
  const unreachable = { code, message: `The database was not checked: ${message}`, where, remedy }
  const isSet = code === 'DATABASE_UNREACHABLE' || code === 'DATABASE_ABSENT'
  return {
    findings: isSet ? [{ severity: 'warning' as const, ...unreachable }] : [],
    unchecked: [{ what: 'database' as const, code, message: unreachable.message, remedy }],
  }
}

function inspectAs(place: HostLocation, manifest: Manifest | null): Promise<Host> {
  return inspect(place.cwd, { ...manifest?.settings, ...locationFlags(place) })
}

function interruptedRun({ cwd, fix }: DoctorRequest): Finding[] {
  const journal = readJournal(cwd)
  if (!journal) return []
  const found = { code: 'INTERRUPTED', where: JOURNAL, remedy: 'npx async-gen doctor --fix' }
  if (!fix) return [{ ...found, severity: 'error', message: 'An earlier run was interrupted while it wrote files.' }]
  const { finished } = recover(cwd, journal)
  const message = `An earlier run was interrupted. async-gen has ${finished ? 'finished it' : 'undone it'}.`
  return [{ ...found, severity: 'fixed', message }]
}

/** Adds the packages to package.json that `install` added before. */
async function restorePackages({ fix, ...place }: DoctorRequest, findings: Finding[]): Promise<Finding[]> {
  const isLost = ({ code }: Finding) => code === 'PACKAGE_NOT_NAMED'
  if (!fix || !findings.some(isLost)) return findings
  await generate({ ...place, generator: 'install', names: [], onConflict: 'mine' })
  return findings.map((finding) =>
    isLost(finding)
      ? {
          ...finding,
          severity: 'fixed',
          message: `${finding.message} async-gen has added it: run your package manager's install.`,
        }
      : finding,
  )
}
