#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Database } from '../core/database.js'
import { AsyncGenError } from '../core/errors.js'
import { version } from '../core/version.js'
import { clearRefreshes } from '../worker/clear.js'
import { wasLogged } from '../worker/crash-report.js'
import {
  type Daemon,
  isUid,
  type Job,
  jobOf,
  list,
  nextNumber,
  type Places,
  start,
  stop,
  unignored,
} from '../worker/daemon.js'
import { findWorkerModule, loadModule } from '../worker/module.js'
import { type CommandName, type Flags, parseCommandLine, UsageError } from './usage.js'

/** What a command has to say, to people and to programs. */
interface Printed {
  lines: string[]
  json: object
  exitCode?: number
}

const ACTIONS: Record<CommandName, (file: string | undefined, flags: Flags) => Promise<Printed>> = {
  run: runHere,
  start: startAll,
  stop: stopAll,
  restart: restartAll,
  status: listAll,
  clear,
}

/** Each flag for workers, and the variable in which `runWorker` reads it. */
const VARIABLES = {
  concurrency: 'ASYNC_WORKER_CONCURRENCY',
  sleep: 'ASYNC_WORKER_SLEEP',
  health: 'ASYNC_WORKER_HEALTH',
  log: 'ASYNC_WORKER_LOG',
  once: 'ASYNC_WORKER_ONCE',
} as const

const writeOut = process.stdout.write.bind(process.stdout)

const exitCode = await main(process.argv.slice(2))
if (exitCode !== undefined) process.exitCode = exitCode

async function main(args: string[]): Promise<number | undefined> {
  // A command line that cannot be read was perhaps meant for a program, too.
  const json = args.some((argument) => /^--json(=|$)/.test(argument))
  if (json) reserveStdout()
  try {
    const found = parseCommandLine(args, version)
    if (typeof found === 'string') return print({ lines: [found], json: { text: found } }, json)
    return print(await ACTIONS[found.command](found.module, found.flags), json)
  } catch (error) {
    return complain(error, json)
  }
}

/** What modules of the host print goes to stderr, and what they throw later ends in JSON, too. */
function reserveStdout(): void {
  process.stdout.write = process.stderr.write.bind(process.stderr)
  process.on('uncaughtException', (error) => process.exit(complain(error, true)))
}

async function runHere(file: string | undefined, flags: Flags): Promise<Printed> {
  const settings = settingsFrom(flags)
  await checkSettings(settings)
  Object.assign(process.env, settings)
  endOnSignals()
  await loadModule(findWorkerModule(process.cwd(), file))
  return { lines: [], json: {} }
}

async function startAll(file: string | undefined, flags: Flags): Promise<Printed> {
  requireOneOf(flags)
  const places = placesOf(flags)
  const count = countOf(flags)
  const module = findWorkerModule(process.cwd(), file)
  const daemons: Daemon[] = []
  for (let i = 0; i < count; i++) daemons.push(await startNext(module, flags))
  const hint = ignoreHint(places)
  return { lines: [...daemons.map(started), ...hint], json: { workers: daemons, ...(hint[0] && { hint: hint[0] }) } }
}

/** Starts the worker that was named, or one more. */
async function startNext(module: string, flags: Flags): Promise<Daemon> {
  while (true) {
    const uid = flags.uid ?? nextNumber(placesOf(flags))
    try {
      return await startOne(uid, { module, settings: settingsFrom(flags, uid) }, flags)
    } catch (error) {
      // Another start at the same moment has taken the number.
      const taken = error instanceof AsyncGenError && error.code === 'ALREADY_RUNNING'
      if (!taken || flags.uid !== undefined) throw error
    }
  }
}

async function stopAll(_file: string | undefined, flags: Flags): Promise<Printed> {
  const timeout = timeoutOf(flags, 60)
  const stopped: Daemon[] = []
  for (const uid of uidsOf(flags)) {
    const daemon = await stop(uid, placesOf(flags), timeout)
    if (daemon) stopped.push(daemon)
  }
  const lines = stopped.map(({ uid, pid, state }) => {
    if (pid === undefined) return `Worker ${uid}: its pid file could not be read and was removed.`
    return `Worker ${uid} (process ${pid}) ${state === 'running' ? 'has stopped' : 'was dead already'}.`
  })
  return { lines: lines.length > 0 ? lines : ['No worker runs here.'], json: { workers: stopped } }
}

async function restartAll(file: string | undefined, flags: Flags): Promise<Printed> {
  requireOneOf(flags)
  const places = placesOf(flags)
  const timeout = timeoutOf(flags, 60)
  const known = uidsOf(flags)
  const numbers = Array.from({ length: countOf(flags) }, (_, i) => `${i + 1}`)
  const uids = flags.count === undefined && known.length > 0 ? known : numbers
  const daemons: Daemon[] = []
  for (const uid of uids) {
    const before = jobOf(uid, places)
    const module = before && !file ? before.module : findWorkerModule(process.cwd(), file)
    const settings = { ...before?.settings, ...settingsFrom(flags, uid) }
    await checkSettings(settings)
    await stop(uid, places, timeout)
    daemons.push(await startOne(uid, { module, settings }, flags))
  }
  for (const uid of known.filter((each) => !uids.includes(each))) await stop(uid, places, timeout)
  return { lines: daemons.map(started), json: { workers: daemons } }
}

async function listAll(_file: string | undefined, flags: Flags): Promise<Printed> {
  const uids = uidsOf(flags)
  const daemons = list(placesOf(flags)).filter(({ uid }) => uids.includes(uid))
  const lines = daemons.map(({ uid, pid, state, log }) => {
    const process = pid === undefined ? 'its pid file cannot be read' : `process ${pid}`
    return `${uid}  ${state}  ${process}  ${relativePath(log)}`
  })
  const allRun = daemons.length > 0 && daemons.every(({ state }) => state === 'running')
  return {
    lines: lines.length > 0 ? lines : ['No worker runs here.'],
    json: { workers: daemons },
    exitCode: allRun ? 0 : 3,
  }
}

async function clear(file: string | undefined): Promise<Printed> {
  const folder = dirname(findWorkerModule(process.cwd(), file))
  const module = ['.ts', '.mts', '.js', '.mjs', '.cjs']
    .map((extension) => join(folder, `database${extension}`))
    .find(existsSync)
  const db = module && ((await loadModule(module)).db as Database | undefined)
  if (!db)
    throw new AsyncGenError(
      'NO_DATABASE',
      `There is no database module beside the worker, in ${folder}, that exports db.`,
    )
  try {
    const cleared = await clearRefreshes(db)
    return { lines: [`${cleared} waiting refreshes were removed.`], json: { cleared } }
  } finally {
    await db.close()
    await db.disconnectPrisma()
  }
}

async function startOne(uid: string, job: Job, flags: Flags): Promise<Daemon> {
  await checkSettings(job.settings)
  const self = fileURLToPath(import.meta.url)
  const command = [...process.execArgv, self, 'run']
  return await start(uid, { places: placesOf(flags), job, command, patience: timeoutOf(flags, 30) })
}

/**
 * Until the worker listens for signals itself, one ends the process at once. The first process of a container, which is what the worker
 * is there, would otherwise ignore it.
 */
function endOnSignals(): void {
  for (const [signal, exitCode] of [['SIGTERM', 143] as const, ['SIGINT', 130] as const]) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(exitCode)
    })
  }
}

function started({ uid, pid, log }: Daemon): string {
  return `Worker ${uid} is at work as process ${pid}. It writes to ${relativePath(log)}`
}

/** What `runWorker` reads. The numbered workers share a health address: each has the next port. */
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
      // To `runWorker`, an empty variable is none.
      if (value === '') throw new UsageError(`--${flag} takes a value, not "".`)
      return value === undefined ? [] : [[variable, value]]
    }),
  )
}

/** Throws what the worker would throw: before anything is stopped or started, and with the name of the flag. */
async function checkSettings(settings: Record<string, string>): Promise<void> {
  const { settingsOf } = await import('../worker/settings.js')
  try {
    settingsOf({ tasks: '.' }, { ...process.env, ...settings })
  } catch (error) {
    const { message } = error as Error
    const flag = Object.entries(VARIABLES).find(([, name]) => name in settings && message.startsWith(`${name} `))
    throw flag ? new UsageError(message.replace(flag[1], `--${flag[0]}`)) : error
  }
}

function requireOneOf({ uid, count }: Flags): void {
  if (uid !== undefined && count !== undefined)
    throw new UsageError('--uid names one worker, --count is a number of workers: give one of them.')
}

/** Without --uid: all that were started. */
function uidsOf(flags: Flags): string[] {
  return flags.uid === undefined ? list(placesOf(flags)).map(({ uid }) => uid) : [flags.uid]
}

/** Checked here for all commands, so that no file outside of the folders is touched. */
function placesOf(flags: Flags): Places {
  const { uid, 'pid-dir': pids = 'tmp/pids', 'log-dir': logs = 'log' } = flags
  if (uid !== undefined && !isUid(uid))
    throw new UsageError(`--uid takes up to 64 letters, digits, - and _, not ${JSON.stringify(uid)}.`)
  if (pids === '' || logs === '') throw new UsageError('--pid-dir and --log-dir take the path of a folder, not "".')
  return { pids: resolve(pids), logs: resolve(logs) }
}

function ignoreHint(places: Places): string[] {
  const folders = unignored(places).map((folder) => `/${relativePath(folder)}/`)
  return folders.length > 0 ? [`Git does not ignore these files. Add to .gitignore: ${folders.join(' ')}`] : []
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
  throw new UsageError(`--${flag} takes a whole number from 1 to ${to}, not ${JSON.stringify(text)}.`)
}

/** Port 0, any free one, stays. */
function laterPort(address: string, by: number): string {
  return address.replace(/\d+$/, (port) => (Number(port) === 0 ? port : String(Number(port) + by)))
}

function print({ lines, json: object, exitCode }: Printed, json: boolean): number | undefined {
  if (json) writeOut(`${JSON.stringify({ version: 1, ...object })}\n`)
  else if (lines.length > 0) writeOut(`${lines.join('\n')}\n`)
  return exitCode
}

function complain(error: unknown, json: boolean): number {
  const usage = error instanceof UsageError
  const expected = error instanceof AsyncGenError
  const code = usage ? 'USAGE' : expected ? error.code : 'INTERNAL'
  // What the system refuses (a folder, a port, a process of somebody else's) says all there is to know.
  const speaking = usage || expected || (error as NodeJS.ErrnoException | undefined)?.syscall
  const message = error instanceof Error ? (speaking && error.message) || error.stack! : String(error)
  if (json) writeOut(`${JSON.stringify({ version: 1, error: { code, message } })}\n`)
  else if (!wasLogged(error)) process.stderr.write(`${message}\n`)
  if (usage) return 2
  return code === 'ALREADY_RUNNING' ? 4 : 1
}
