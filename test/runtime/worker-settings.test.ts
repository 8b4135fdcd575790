import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findWorkerModule, loadModule } from '../../runtime/src/worker/module.js'
import { settingsOf } from '../../runtime/src/worker/settings.js'

describe('the settings of a worker', () => {
  const tasks = '/srv/shop/tasks'

  it('have defaults, which the module overrides, which the environment overrides', () => {
    expect(settingsOf({ tasks }, {})).toMatchObject({
      concurrency: 10,
      pollInterval: 2000,
      stopTimeout: 20_000,
      once: false,
    })
    const options = { tasks, concurrency: 5, pollInterval: '1s' as const, health: 9394, once: true }
    expect(settingsOf(options, {})).toMatchObject({
      concurrency: 5,
      pollInterval: 1000,
      health: { host: '127.0.0.1', port: 9394 },
      once: true,
    })
    const env = {
      ASYNC_WORKER_CONCURRENCY: '7',
      ASYNC_WORKER_SLEEP: '250ms',
      ASYNC_WORKER_HEALTH: '0.0.0.0:80',
      ASYNC_WORKER_STOP_TIMEOUT: '1 minute',
    }
    expect(settingsOf(options, env)).toMatchObject({
      concurrency: 7,
      pollInterval: 250,
      health: { host: '0.0.0.0', port: 80 },
      stopTimeout: 60_000,
    })
    expect(settingsOf({ tasks, health: '[::1]:9394' }, {}).health).toEqual({ host: '::1', port: 9394 })
  })

  it.each([
    [{ ASYNC_WORKER_CONCURRENCY: '0' }, 'ASYNC_WORKER_CONCURRENCY'],
    [{ ASYNC_WORKER_CONCURRENCY: 'many' }, 'ASYNC_WORKER_CONCURRENCY'],
    [{ ASYNC_WORKER_HEALTH: 'localhost' }, 'health address'],
    [{ ASYNC_WORKER_HEALTH: '123456' }, 'health address'],
    [{ ASYNC_WORKER_SLEEP: 'soon' }, 'soon'],
    [{ ASYNC_WORKER_LOG: 'xml' }, 'pretty or json'],
  ])('refuse %j', (env, message) => {
    expect(() => settingsOf({ tasks }, env)).toThrow(message)
  })
})

describe('the worker module', () => {
  it.each([
    [['src/async/worker.ts', 'dist/async/worker.js'], 'src/async/worker.ts'],
    [['async/worker.ts'], 'async/worker.ts'],
    [['dist/src/async/worker.js'], 'dist/src/async/worker.js'],
    [['lib/jobs/worker.ts', 'src/async/worker.ts', '.async-gen/manifest.json'], 'lib/jobs/worker.ts'],
  ])('of %j is %s', (files, found) => {
    const root = project(files, { tsx: true })
    expect(findWorkerModule(root, undefined)).toBe(join(root, found))
  })

  it('is the one that was built where nothing runs TypeScript', () => {
    const root = project(['src/async/worker.ts', 'dist/async/worker.js'], { tsx: false })
    expect(findWorkerModule(root, undefined)).toBe(join(root, 'dist/async/worker.js'))
  })

  it('is no CommonJS by its name, which cannot be run as TypeScript', async () => {
    const root = project(['src/async/worker.cts', 'dist/async/worker.cjs'], { tsx: true })
    expect(findWorkerModule(root, undefined)).toBe(join(root, 'dist/async/worker.cjs'))
    await expect(loadModule(join(root, 'src/async/worker.cts'))).rejects.toThrow('Call it worker.ts')
  })

  it('is the one that is named, or none', () => {
    const root = project(['jobs.ts'], { tsx: true })
    expect(findWorkerModule(root, 'jobs.ts')).toBe(join(root, 'jobs.ts'))
    expect(() => findWorkerModule(root, 'job.ts')).toThrow('There is no job.ts')
    expect(() => findWorkerModule(root, undefined)).toThrow('npx async-gen install')
  })

  function project(files: string[], { tsx }: { tsx: boolean }): string {
    const root = mkdtempSync(join(tmpdir(), 'async-worker-'))
    onTestFinished(() => rmSync(root, { recursive: true }))
    const write = (file: string, text: string) => {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), text)
    }
    for (const file of files) write(file, file.endsWith('.json') ? '{ "settings": { "dir": "lib/jobs" } }' : '')
    if (tsx) write('node_modules/tsx/index.js', '')
    return root
  }
})
