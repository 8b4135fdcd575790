#!/usr/bin/env node
import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { Database } from '../database.js'
import { AsyncGenError } from '../errors.js'
import { version } from '../version.js'
import { clearRefreshes } from '../worker/clear.js'
import { type Daemon, type Job, jobOf, list, type Places, start, stop } from '../worker/control.js'
import { findWorkerModule, loadModule } from '../worker/module.js'

const USAGE = `Usage: async-gen-worker <command> [worker module] [options]

  run        works in the foreground until it is told to stop (Ctrl-C, SIGTERM)
  start      starts one or several workers in the background
  stop       stops them, and waits until they have finished what they had in hand
  restart    stops them and starts them again, one after the other, as they were started
  status     tells which run
  clear      takes waiting refreshes of toasts, reports and cached values out of the queue

The worker module is what async-gen has written (src/async/worker.ts); where it is not named, it is looked for.

  --once              run: work until nothing is due, then end
  --concurrency <n>   how many tasks at the same time
  --sleep <time>      how often to look for jobs that came without a notification: 5 (seconds), 500ms
  --health <address>  serve /livez, /readyz and /metrics: 9394, 0.0.0.0:9394. With --count each worker has the next port
  --log <format>      pretty or json. Default: pretty on a terminal, json elsewhere
  --uid <name>        which worker. Default: 1; stop, restart and status: all
  --count <n>         start, restart: so many workers, called 1, 2, 3, …
  --pid-dir <folder>  default: tmp/pids
  --log-dir <folder>  default: log
  --timeout <seconds> how long to wait for a start (default: 30) or a stop (default: 60)
  --json              print one JSON object

Exit codes: 0 done · 1 failed · 2 usage · 3 status: not all of them run · 4 start: it runs already`

const OPTIONS = {
  once: { type: 'boolean' },
  concurrency: { type: 'string' },
  sleep: { type: 'string' },
  health: { type: 'string' },
  log: { type: 'string' },
  uid: { type: 'string' },
  count: { type: 'string' },
  'pid-dir': { type: 'string' },
  'log-dir': { type: 'string' },
  timeout: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} satisfies ParseArgsConfig['options']

type Flags = { [Name in keyof typeof OPTIONS]?: (typeof OPTIONS)[Name]['type'] extends 'boolean' ? boolean : string }

const FOR_DAEMONS = ['uid', 'pid-dir', 'log-dir', 'timeout', 'json'] as const
const FOR_WORKERS = ['concurrency', 'sleep', 'health', 'log'] as const

/** Which flags each command takes; it refuses the others. */
const COMMANDS: Record<
  string,
  { flags: readonly (keyof Flags)[]; act: (file: string | undefined, flags: Flags) => Promise<Printed> }
> = {
  run: { flags: [...FOR_WORKERS, 'once'], act: runHere },
  start: { flags: [...FOR_DAEMONS, ...FOR_WORKERS, 'count'], act: startAll },
  stop: { flags: FOR_DAEMONS, act: stopAll },
  restart: { flags: [...FOR_DAEMONS, ...FOR_WORKERS, 'count'], act: restartAll },
  status: { flags: FOR_DAEMONS, act: tellAll },
  clear: { flags: ['json'], act: clear },
}

/** What a command has to say, to people and to programs. */
interface Printed {
  lines: string[]
  json?: object
  exitCode?: number
}

class UsageError extends Error {}

const exitCode = await main(process.argv.slice(2))
if (exitCode !== undefined) process.exitCode = exitCode

async function main(args: string[]): Promise<number | undefined> {
  let json = args.includes('--json')
  try {
    const { values: flags, positionals } = parse(args)
    if (flags.version) return print({ lines: [version] }, false)
    if (flags.help) return print({ lines: [USAGE] }, false)
    json = flags.json ?? false
    const [name = '', file, ...surplus] = positionals
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (!command) throw new UsageError(name ? `There is no command ${name}.` : 'Which command?')
    if (surplus.length > 0) throw new UsageError(`What is ${surplus[0]}?`)
    const foreign = Object.keys(flags).find((flag) => !command.flags.includes(flag as keyof Flags))
    if (foreign) throw new UsageError(`async-gen-worker ${name} takes no --${foreign}.`)
    return print(await command.act(file, flags), json)
  } catch (error) {
    return complain(error, json)
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

async function runHere(file: string | undefined, flags: Flags): Promise<Printed> {
  Object.assign(process.env, settingsOf(flags))
  endOnSignals()
  await loadModule(findWorkerModule(process.cwd(), file))
  return { lines: [] }
}

async function startAll(file: string | undefined, flags: Flags): Promise<Printed> {
  const uids = uidsToStart(flags)
  const module = findWorkerModule(process.cwd(), file)
  const daemons: Daemon[] = []
  for (const [i, uid] of uids.entries()) {
    daemons.push(await startOne(uid, { module, settings: settingsOf(flags, i) }, flags))
  }
  return { lines: daemons.map(started), json: { workers: daemons } }
}

async function stopAll(_file: string | undefined, flags: Flags): Promise<Printed> {
  const stopped: Daemon[] = []
  for (const uid of uidsOf(flags)) {
    const daemon = await stop(uid, placesOf(flags), patience(flags, 60))
    if (daemon) stopped.push(daemon)
  }
  const lines = stopped.map(({ uid, pid, state }) =>
    state === 'running'
      ? `Worker ${uid} (process ${pid}) has stopped.`
      : `Worker ${uid} (process ${pid}) was dead already.`,
  )
  return { lines: lines.length > 0 ? lines : ['No worker runs here.'], json: { workers: stopped } }
}

async function restartAll(file: string | undefined, flags: Flags): Promise<Printed> {
  const places = placesOf(flags)
  const known = uidsOf(flags)
  const uids = flags.uid === undefined && flags.count === undefined && known.length > 0 ? known : uidsToStart(flags)
  const daemons: Daemon[] = []
  for (const [i, uid] of uids.entries()) {
    const before = jobOf(uid, places)
    const module = before && !file ? before.module : findWorkerModule(process.cwd(), file)
    await stop(uid, places, patience(flags, 60))
    daemons.push(await startOne(uid, { module, settings: { ...before?.settings, ...settingsOf(flags, i) } }, flags))
  }
  for (const uid of known.filter((each) => !uids.includes(each))) await stop(uid, places, patience(flags, 60))
  return { lines: daemons.map(started), json: { workers: daemons } }
}

async function tellAll(_file: string | undefined, flags: Flags): Promise<Printed> {
  const daemons = list(placesOf(flags)).filter(({ uid }) => flags.uid === undefined || flags.uid === uid)
  const lines = daemons.map(
    ({ uid, pid, state, log }) => `${uid}  ${state}  process ${pid}  ${relative(process.cwd(), log)}`,
  )
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
    return { lines: [`${cleared} waiting refreshes cleared.`], json: { cleared } }
  } finally {
    await db.close()
    await db.disconnectPrisma()
  }
}

async function startOne(uid: string, job: Job, flags: Flags): Promise<Daemon> {
  const self = fileURLToPath(import.meta.url)
  const command = [...process.execArgv, self, 'run']
  return await start(uid, { places: placesOf(flags), job, command, patience: patience(flags, 30) })
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
  return `Worker ${uid} is at work as process ${pid}. It writes to ${relative(process.cwd(), log)}`
}

/** What `runWorker` reads, for the worker of that number. */
function settingsOf({ concurrency, sleep, health, log, once }: Flags, index = 0): Record<string, string> {
  return {
    ...(concurrency !== undefined && { ASYNC_WORKER_CONCURRENCY: `${whole(concurrency, 'concurrency')}` }),
    ...(sleep !== undefined && { ASYNC_WORKER_SLEEP: /^[\d.]+$/.test(sleep) ? `${sleep}s` : sleep }),
    ...(health !== undefined && { ASYNC_WORKER_HEALTH: nextPort(health, index) }),
    ...(log !== undefined && { ASYNC_WORKER_LOG: log }),
    ...(once && { ASYNC_WORKER_ONCE: '1' }),
  }
}

function uidsToStart({ uid, count }: Flags): string[] {
  if (uid !== undefined && count !== undefined)
    throw new UsageError('--uid names one worker, --count numbers several: give one of them.')
  if (uid !== undefined && !/^[\w-]+$/.test(uid)) throw new UsageError('--uid takes letters, digits, - and _.')
  if (uid !== undefined) return [uid]
  return Array.from({ length: whole(count ?? '1', 'count') }, (_, i) => String(i + 1))
}

/** Without --uid: all that were started. */
function uidsOf(flags: Flags): string[] {
  return flags.uid === undefined ? list(placesOf(flags)).map(({ uid }) => uid) : [flags.uid]
}

function placesOf(flags: Flags): Places {
  return { pids: resolve(flags['pid-dir'] ?? 'tmp/pids'), logs: resolve(flags['log-dir'] ?? 'log') }
}

function patience({ timeout }: Flags, seconds: number): number {
  return whole(timeout ?? String(seconds), 'timeout') * 1000
}

function whole(text: string, flag: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new UsageError(`--${flag} takes a whole number from 1, not ${JSON.stringify(text)}.`)
}

function nextPort(address: string, index: number): string {
  return address.replace(/\d+$/, (port) => String(Number(port) + index))
}

function print({ lines, json: object, exitCode }: Printed, json: boolean): number | undefined {
  if (json && object) process.stdout.write(`${JSON.stringify({ version: 1, ...object })}\n`)
  else if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`)
  return exitCode
}

function complain(error: unknown, json: boolean): number {
  const usage = error instanceof UsageError
  const expected = error instanceof AsyncGenError
  const code = usage ? 'USAGE' : expected ? error.code : 'INTERNAL'
  // What the system refuses (a folder, a port, a process of somebody else's) says all there is to know.
  const speaking = usage || expected || (error as NodeJS.ErrnoException | undefined)?.syscall
  const message = error instanceof Error ? (speaking && error.message) || error.stack! : String(error)
  if (json) process.stdout.write(`${JSON.stringify({ version: 1, error: { code, message } })}\n`)
  else process.stderr.write(`${usage ? `${message}\n\n${USAGE}` : message}\n`)
  if (usage) return 2
  return code === 'ALREADY_RUNNING' ? 4 : 1
}
