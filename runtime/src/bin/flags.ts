/** The flags of all commands, with their help. */
export const FLAGS = {
  once: { type: 'boolean', help: ['--once', 'run until nothing is due, then end'] },
  concurrency: { type: 'string', help: ['--concurrency <n>', 'how many jobs run at the same time. Default: 10'] },
  sleep: {
    type: 'string',
    help: ['--sleep <time>', 'how often to poll for jobs: 5 (seconds) or 500ms. Default: 2 seconds'],
  },
  health: {
    type: 'string',
    help: [
      '--health <address>',
      'serve /livez, /readyz and /metrics at a port or address: 9394, 0.0.0.0:9394. Worker 2 uses the next port',
    ],
  },
  log: { type: 'string', help: ['--log <format>', 'pretty or json. Default: pretty on a terminal, json elsewhere'] },
  uid: { type: 'string', help: ['--uid <name>', 'the name of one worker: letters, digits, - and _'] },
  count: { type: 'string', help: ['--count <n>', 'how many workers'] },
  'pid-dir': { type: 'string', help: ['--pid-dir <folder>', 'the folder of the pid files. Default: tmp/pids'] },
  'log-dir': { type: 'string', help: ['--log-dir <folder>', 'the folder of the logs. Default: log'] },
  timeout: {
    type: 'string',
    help: ['--timeout <seconds>', 'how long to wait until a worker has started (default: 30) or stopped (default: 60)'],
  },
  port: { type: 'string', help: ['--port <n>', 'the port of the dashboard. Default: 9395'] },
  status: { type: 'string', help: ['--status <status>', 'attempts with this status, or several: failed,expired'] },
  pending: { type: 'boolean', help: ['--pending', 'the same as --status pending'] },
  blocked: { type: 'boolean', help: ['--blocked', 'the same as --status blocked'] },
  running: { type: 'boolean', help: ['--running', 'the same as --status running'] },
  succeeded: { type: 'boolean', help: ['--succeeded', 'the same as --status succeeded'] },
  failed: { type: 'boolean', help: ['--failed', 'the same as --status failed'] },
  expired: { type: 'boolean', help: ['--expired', 'the same as --status expired'] },
  cancelled: { type: 'boolean', help: ['--cancelled', 'the same as --status cancelled'] },
  target: {
    type: 'string',
    help: ['--target <name>', 'a target, as targets.ts lists it or listed it, or a method: OrderClient.fulfill'],
  },
  method: { type: 'string', help: ['--method <name>', 'the name of a method'] },
  token: { type: 'string', help: ['--token <token>', 'an idempotence token'] },
  batch: { type: 'string', help: ['--batch <id>', 'the calls of a batch'] },
  schedule: { type: 'string', help: ['--schedule <name>', 'what a schedule has recorded, also if it was removed'] },
  error: { type: 'string', help: ['--error <text>', 'text in the name, code or message of the latest error'] },
  since: { type: 'string', help: ['--since <time>', 'at that time or later'] },
  before: { type: 'string', help: ['--before <time>', 'before that time'] },
  limit: { type: 'string', help: ['--limit <n>', 'how many to list. Default: 20'] },
  decrypt: { type: 'boolean', help: ['--decrypt', 'show encrypted arguments, results and errors'] },
  'dry-run': { type: 'boolean', help: ['--dry-run', 'only print what would be changed'] },
  yes: { type: 'boolean', short: 'y', help: ['--yes, -y', 'change many attempts without asking'] },
  to: { type: 'string', help: ['--to <time>', 'when `reschedule` lets them run: 1h from now, or a time in UTC'] },
  all: { type: 'boolean', help: ['--all', 'pause all calls of the model, without asking'] },
  until: {
    type: 'string',
    help: ['--until <time>', 'when the pause ends: 1h, or a time in UTC. Default: at `resume`'],
  },
  reason: { type: 'string', help: ['--reason <text>', 'why, for everybody who finds the pause'] },
  model: { type: 'string', help: ['--model <name>', 'the model, if there are several: EmailAttempt'] },
  worker: { type: 'string', help: ['--worker <module>', 'the worker module, if it is not in a usual folder'] },
  json: { type: 'boolean', help: ['--json', 'print one JSON object'] },
  help: { type: 'boolean', short: 'h', help: ['--help', 'show this help'] },
  version: { type: 'boolean', help: ['--version', 'print the version'] },
} as const

export type FlagName = keyof typeof FLAGS

export type Flags = { [Name in FlagName]?: (typeof FLAGS)[Name]['type'] extends 'boolean' ? boolean : string }
