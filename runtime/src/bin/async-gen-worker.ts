#!/usr/bin/env node
import { relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AsyncGenError, isAsyncGenError } from '../core/errors.js'
import { toJson } from '../core/json-text.js'
import { version } from '../core/version.js'
import { clearRefreshes } from '../worker/clear.js'
import { wasLogged } from '../worker/crash-report.js'
import {
  type Daemon,
  type DaemonFolders,
  isUid,
  type LaunchSettings,
  launchSettingsOf,
  list,
  nextNumber,
  start,
  stop,
  unignored,
} from '../worker/daemon.js'
import { findWorkerModule, loadModule } from '../worker/module.js'
import { hostDatabase } from './attempts/classes.js'
import { attempts } from './attempts/command.js'
import type { ParsedSubcommand } from './attempts/usage.js'
import { using } from './database-errors.js'
import type { Flags } from './flags.js'
import type { CommandResult } from './result.js'
import { showSchedules } from './schedules.js'
import { aliveLines, type DatabaseProblem, pauseLines, readDatabase } from './status-database.js'
import { type CommandName, parseCommandLine, UsageError } from './usage.js'

const ACTIONS: Record<
  Exclude<CommandName, 'attempts' | 'dashboard'>,
  (file: string | undefined, flags: Flags) => Promise<CommandResult>
> = {
  run: runHere,
  start: startAll,
  stop: stopAll,
  restart: restartAll,
  status: listAll,
  clear,
  schedule: showSchedules,
}

/** Each flag for workers, and the variable in which `runWorker` reads it. */
const VARIABLES = {
  concurrency: 'ASYNC_WORKER_CONCURRENCY',
  sleep: 'ASYNC_WORKER_SLEEP',
  health: 'ASYNC_WORKER_HEALTH',
  log: 'ASYNC_WORKER_LOG',
  once: 'ASYNC_WORKER_ONCE',
} as const

const SELF = fileURLToPath(import.meta.url)

const writeOut = process.stdout.write.bind(process.stdout)

const exitCode = await main(process.argv.slice(2))
if (exitCode !== undefined) process.exitCode = exitCode

async function main(args: string[]): Promise<number | undefined> {
  // Before the arguments are parsed, so that errors of parsing are JSON too.
  const json = args.some((argument) => /^--json(=|$)/.test(argument))
  if (json) reserveStdout()
  try {
    const found = parseCommandLine(args, version)
    if (typeof found === 'string') return print({ lines: [found], json: { text: found } }, json)
    if (found.command === 'dashboard') return await showDashboard(found.module, found.flags)
    if (found.subcommand) return await runAttempts(found.subcommand, found.flags, json)
    return print(await ACTIONS[found.command as keyof typeof ACTIONS](found.module, found.flags), json)
  } catch (error) {
    return printError(error, json)
  }
}

/** Redirects the output of the host's modules to stderr, and reports their uncaught exceptions as JSON. */
function reserveStdout(): void {
  process.stdout.write = process.stderr.write.bind(process.stderr)
  process.on('uncaughtException', (error) => process.exit(printError(error, true)))
}

async function runAttempts(subcommand: ParsedSubcommand, flags: Flags, json: boolean): Promise<number> {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', () => process.exit(0))
  try {
    return await endWith(print(await attempts(subcommand, flags), json))
  } catch (error) {
    return await endWith(printError(error, json))
  }
}

/** Only this command loads the dashboard. */
async function showDashboard(module: string | undefined, flags: Flags): Promise<number> {
  const { serveDashboard } = await import('./dashboard.js')
  return await endWith(print(await serveDashboard(module, flags, (line) => void writeOut(`${line}\n`)), false))
}

/** Ends the process when its output is written: modules of the host may keep timers and connections open. */
async function endWith(exitCode = 0): Promise<number> {
  await new Promise((written) => writeOut('', () => written(undefined)))
  process.exit(exitCode)
}

async function runHere(file: string | undefined, flags: Flags): Promise<CommandResult> {
  const settings = settingsFrom(flags)
  await checkSettings(settings)
  Object.assign(process.env, settings)
  endOnSignals()
  await loadModule(findWorkerModule(process.cwd(), file))
  return { lines: [], json: {} }
}

async function startAll(file: string | undefined, flags: Flags): Promise<CommandResult> {
  requireOneOf(flags)
  const folders = foldersOf(flags)
  const count = countOf(flags)
  const module = findWorkerModule(process.cwd(), file)
  const daemons: Daemon[] = []
  for (let i = 0; i < count; i++) daemons.push(await startNext(module, flags))
  const hint = ignoreHint(folders)
  return { lines: [...daemons.map(started), ...hint], json: { workers: daemons, ...(hint[0] && { hint: hint[0] }) } }
}

/** Starts the worker with the given uid, or one with the next free number. */
async function startNext(module: string, flags: Flags): Promise<Daemon> {
  while (true) {
    const uid = flags.uid ?? nextNumber(foldersOf(flags))
    try {
      return await startOne(uid, { module, settings: settingsFrom(flags, uid) }, flags)
    } catch (error) {
      // Another start has taken the number meanwhile.
      const taken = error instanceof AsyncGenError && error.code === 'ALREADY_RUNNING'
      if (!taken || flags.uid !== undefined) throw error
    }
  }
}

async function stopAll(_file: string | undefined, flags: Flags): Promise<CommandResult> {
  const timeout = timeoutOf(flags, 60)
  const stopped: Daemon[] = []
  for (const uid of uidsOf(flags)) {
    const daemon = await stop(uid, foldersOf(flags), timeout)
    if (daemon) stopped.push(daemon)
  }
  const lines = stopped.map(({ uid, pid, state }) => {
    if (pid === undefined) return `Worker ${uid}: its pid file was invalid and was removed.`
    return `Worker ${uid} (process ${pid}) ${state === 'running' ? 'has stopped' : 'had already ended'}.`
  })
  return { lines: lines.length > 0 ? lines : ['No worker was started in this folder.'], json: { workers: stopped } }
}

async function restartAll(file: string | undefined, flags: Flags): Promise<CommandResult> {
  requireOneOf(flags)
  const folders = foldersOf(flags)
  const timeout = timeoutOf(flags, 60)
  const known = uidsOf(flags)
  const numbers = Array.from({ length: countOf(flags) }, (_, i) => `${i + 1}`)
  const uids = flags.count === undefined && known.length > 0 ? known : numbers
  const daemons: Daemon[] = []
  for (const uid of uids) {
    const before = launchSettingsOf(uid, folders)
    const module = before && !file ? before.module : findWorkerModule(process.cwd(), file)
    const settings = { ...before?.settings, ...settingsFrom(flags, uid) }
    await checkSettings(settings)
    await stop(uid, folders, timeout)
    daemons.push(await startOne(uid, { module, settings }, flags))
  }
  for (const uid of known.filter((each) => !uids.includes(each))) await stop(uid, folders, timeout)
  return { lines: daemons.map(started), json: { workers: daemons } }
}

async function listAll(_file: string | undefined, flags: Flags): Promise<CommandResult> {
  const uids = uidsOf(flags)
  const daemons = list(foldersOf(flags)).filter(({ uid }) => uids.includes(uid))
  const own = daemons.map(({ uid, pid, state, log }) => {
    const process = pid === undefined ? 'invalid pid file' : `process ${pid}`
    return `${uid}  ${state}  ${process}  ${relativePath(log)}`
  })
  const module = daemons[0] && launchSettingsOf(daemons[0].uid, foldersOf(flags))?.module
  const found = await readDatabase(SELF, module, daemons)
  const allRun = daemons.length > 0 && daemons.every(({ state }) => state === 'running')
  const started = own.length > 0 ? own : ['No worker was started in the background in this folder.']
  const [lines, json] =
    'error' in found
      ? [[unread(found.error)], { alive: null, pauses: null, problem: found.error }]
      : [[...aliveLines(found.alive), ...pauseLines(found.pauses)], found]
  return { lines: [...started, ...lines], json: { workers: daemons, ...json }, exitCode: allRun ? 0 : 3 }
}

function unread({ code, message }: DatabaseProblem): string {
  return `The workers and pauses in the database were not read (${code}): ${message}`
}

async function clear(file: string | undefined): Promise<CommandResult> {
  const db = await hostDatabase(file)
  return await using(db, async () => {
    const cleared = await clearRefreshes(db)
    return { lines: [`${cleared} waiting refreshes removed.`], json: { cleared } }
  })
}

async function startOne(uid: string, launch: LaunchSettings, flags: Flags): Promise<Daemon> {
  await checkSettings(launch.settings)
  const command = [...process.execArgv, SELF, 'run']
  return await start(uid, { folders: foldersOf(flags), launch, command, timeout: timeoutOf(flags, 30) })
}

/**
 * Ends the process at a signal until the worker has its own handlers. The worker may be the first process of a container, which ignores
 * signals without a handler.
 */
function endOnSignals(): void {
  for (const [signal, exitCode] of [['SIGTERM', 143] as const, ['SIGINT', 130] as const]) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(exitCode)
    })
  }
}

function started({ uid, pid, log }: Daemon): string {
  return `Worker ${uid} runs as process ${pid}. Its log is ${relativePath(log)}`
}

/** The environment variables for `runWorker`. Numbered workers get consecutive ports for --health. */
function settingsFrom(flags: Flags, uid = '1'): Record<string, string> {
  const { sleep, health } = flags
  const values = {
    ...flags,
    sleep: sleep && /^[\d.]+$/.test(sleep) ? `${sleep}s` : sleep,
    health: health && flags.uid === undefined && /^\d{1,6}$/.test(uid) ? laterPort(health, Number(uid) - 1) : health,
    once: flags.once ? '1' : undefined,
  }
  return Object.fromEntries(
    Object.entries(VARIABLES).flatMap(([flag, variable]) => {
      const value = values[flag as keyof typeof VARIABLES]
      // `runWorker` ignores an empty variable.
      if (value === '') throw new UsageError(`--${flag} needs a value.`)
      return value === undefined ? [] : [[variable, value]]
    }),
  )
}

/** Throws the errors of `runWorker` before a worker is stopped or started, with the name of the flag. */
async function checkSettings(settings: Record<string, string>): Promise<void> {
  const { workerSettings } = await import('../worker/settings.js')
  try {
    workerSettings({ tasks: '.' }, { ...process.env, ...settings })
  } catch (error) {
    const { message } = error as Error
    const flag = Object.entries(VARIABLES).find(([, name]) => name in settings && message.startsWith(`${name} `))
    throw flag ? new UsageError(message.replace(flag[1], `--${flag[0]}`)) : error
  }
}

function requireOneOf({ uid, count }: Flags): void {
  if (uid !== undefined && count !== undefined)
    throw new UsageError(
      '--uid and --count cannot be combined: --uid names one worker, --count is a number of workers.',
    )
}

/** Without --uid: all workers that were started. */
function uidsOf(flags: Flags): string[] {
  return flags.uid === undefined ? list(foldersOf(flags)).map(({ uid }) => uid) : [flags.uid]
}

/** Checks --uid too, which is a part of file names: no command touches a file outside of the folders. */
function foldersOf(flags: Flags): DaemonFolders {
  const { uid, 'pid-dir': pids = 'tmp/pids', 'log-dir': logs = 'log' } = flags
  if (uid !== undefined && !isUid(uid))
    throw new UsageError(`--uid is ${JSON.stringify(uid)}. It must be up to 64 letters, digits, - and _.`)
  if (pids === '' || logs === '') throw new UsageError('--pid-dir and --log-dir need the path of a folder.')
  return { pids: resolve(pids), logs: resolve(logs) }
}

function ignoreHint(folders: DaemonFolders): string[] {
  const unignoredFolders = unignored(folders).map((folder) => `/${relativePath(folder)}/`)
  return unignoredFolders.length > 0
    ? [`Git does not ignore the pid files and logs. Add to .gitignore: ${unignoredFolders.join(' ')}`]
    : []
}

function relativePath(file: string): string {
  return relative(process.cwd(), file)
}

function timeoutOf({ timeout }: Flags, seconds: number): number {
  return whole(timeout ?? String(seconds), 'timeout', 86_400) * 1000
}

function countOf({ count }: Flags): number {
  return whole(count ?? '1', 'count', 100)
}

function whole(text: string, flag: string, to: number): number {
  if (/^[1-9]\d*$/.test(text) && Number(text) <= to) return Number(text)
  throw new UsageError(`--${flag} is ${JSON.stringify(text)}. It must be a whole number from 1 to ${to}.`)
}

/** Port 0 (any free port) stays 0. */
function laterPort(address: string, by: number): string {
  return address.replace(/\d+$/, (port) => (Number(port) === 0 ? port : String(Number(port) + by)))
}

function print({ lines, json: object, exitCode }: CommandResult, json: boolean): number | undefined {
  if (json) writeOut(`${toJson({ version: 1, ...object })}\n`)
  else if (lines.length > 0) writeOut(`${lines.join('\n')}\n`)
  return exitCode
}

function printError(error: unknown, json: boolean): number {
  const usage = error instanceof UsageError
  const expected = isAsyncGenError(error)
  const code = usage ? 'USAGE' : expected ? error.code : 'INTERNAL'
  // The message of a system error (a folder, a port, a process of another user) is enough. Other errors need their stack.
  const isExpected = usage || expected || (error as NodeJS.ErrnoException | undefined)?.syscall
  const message = error instanceof Error ? (isExpected && error.message) || error.stack! : String(error)
  const remedy = expected ? error.remedy : undefined
  if (json) writeOut(`${JSON.stringify({ version: 1, error: { code, message, remedy } })}\n`)
  else if (!wasLogged(error)) process.stderr.write(`${message}\n`)
  if (usage) return 2
  return code === 'ALREADY_RUNNING' ? 4 : 1
}
