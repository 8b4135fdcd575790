// A worker that cannot start says why, once, whatever started it.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { run } from '../support/run.js'

const COMMAND = fileURLToPath(new URL('../../runtime/dist/bin/async-gen-worker.js', import.meta.url))

/** Inside of this repository, where the built runtime is found. */
const folder = fileURLToPath(new URL(`../.app-start-${process.pid}`, import.meta.url))
mkdirSync(join(folder, 'tasks'), { recursive: true })
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
afterAll(() => rmSync(folder, { recursive: true }))

const client = '{ $transaction() {}, $executeRawUnsafe() {}, $queryRawUnsafe() {} }'
const unreachable = `connect(${client}, { connectionString: 'postgresql://nobody@127.0.0.1:1/none' })`

/** As `install` writes it, for each kind of module. */
const WORKERS = {
  'worker.mjs': `import { connect, runWorker } from '@async-gen/runtime'
await runWorker(${unreachable}, { tasks: new URL('./tasks/', import.meta.url) })`,
  'worker.cjs': `const { connect, runWorker } = require('@async-gen/runtime')
void runWorker(${unreachable}, { tasks: \`\${__dirname}/tasks\` })`,
}
for (const [file, text] of Object.entries(WORKERS)) writeFileSync(join(folder, file), text)

const starts = ['worker.mjs', 'worker.cjs'].flatMap((file) => [
  [file, 'async-gen-worker run', [COMMAND, 'run', file]] as const,
  [file, 'node', [file]] as const,
])

const start = (args: readonly string[], log: 'json' | 'pretty') =>
  run(folder, process.execPath, [...args], { env: { ASYNC_WORKER_LOG: log }, exitCodes: [1] })

describe('a worker that cannot start', () => {
  it.each(starts)('%s says so once under %s, and exits with 1', async (_file, _with, args) => {
    rmSync(join(folder, 'tasks'), { recursive: true, force: true })
    mkdirSync(join(folder, 'tasks'))
    const pretty = await start(args, 'pretty')
    expect((pretty.stdout + pretty.stderr).match(/The folder \S+ has no tasks\./g)).toHaveLength(1)
    expect(pretty.stdout + pretty.stderr).not.toContain('    at ')

    const { stdout, stderr } = await start(args, 'json')
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ level: 'error', error: { code: 'NO_TASKS' } })
  })

  it.each(starts)('%s shows once where an unexpected error comes from under %s', async (_file, _with, args) => {
    writeFileSync(join(folder, 'tasks', 'broken.cjs'), 'null.task()\n')
    const { stdout, stderr } = await start(args, 'pretty')
    expect((stdout + stderr).match(/The worker ends|Error processing/g)).toHaveLength(2)
    expect(stdout + stderr).toContain('    at ')
  })
})
