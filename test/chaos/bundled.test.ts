import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { REPOSITORY } from '../support/host.js'
import { run } from '../support/run.js'
import { Attempt } from './host/attempt.js'
import { Probe } from './host/targets.js'
import { url } from './scene.js'

const HOST = join(REPOSITORY, 'test/chaos/host')

describe('a worker in one bundled file', () => {
  it('runs tasks that are passed by name, without a folder', async () => {
    const recorded = await Attempt.async(Probe).once('done', 0)
    const { code, output } = await bundled(`
      import attempt from '${HOST}/tasks/attempt.js'
      import refresh_toast from '${HOST}/tasks/refresh_toast.js'
      await runWorker(db, { tasks: { attempt, refresh_toast }, once: true })`)
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('Tasks: attempt, refresh_toast') })
    expect(await recorded.reload()).toMatchObject({ status: 'succeeded' })
  })

  it('ends with an error that says what to do if the folder of tasks does not exist', async () => {
    const { code, output } = await bundled(`await runWorker(db, { tasks: new URL('./tasks/', import.meta.url) })`)
    expect(code).toBe(1)
    expect(output).toContain('For a bundled worker, pass the tasks by name')
    expect(output).toContain('"code":"NO_TASKS"')
  })
})

async function bundled(text: string): Promise<{ code: number | null; output: string }> {
  // Inside the repository, so that it finds its packages.
  const dir = mkdtempSync(join(REPOSITORY, 'node_modules', '.async-gen-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const entry = join(dir, 'worker.ts')
  writeFileSync(
    entry,
    `import { runWorker } from '@async-gen/runtime'\nimport { db } from '${HOST}/database.js'\n${text}\n`,
  )
  const flags = [
    '--bundle',
    '--platform=node',
    '--format=esm',
    '--packages=external',
    `--outfile=${join(dir, 'worker.mjs')}`,
  ]
  await run(REPOSITORY, join(REPOSITORY, 'node_modules/.bin/esbuild'), [entry, ...flags])
  const options = { env: { DATABASE_URL: url }, exitCodes: [0, 1] }
  const { code, stdout, stderr } = await run(REPOSITORY, process.execPath, [join(dir, 'worker.mjs')], options)
  return { code, output: stdout + stderr }
}
