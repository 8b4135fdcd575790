import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import * as graphile from 'graphile-worker'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AsyncGenError } from '../../runtime/src/core/errors.js'
import { parsedCrontab } from '../../runtime/src/worker/crontab.js'
import { findWorkerModule, loadModule } from '../../runtime/src/worker/module.js'
import { type RunWorkerOptions, workerSettings } from '../../runtime/src/worker/settings.js'
import { loadTasks } from '../../runtime/src/worker/tasks.js'

describe('the settings of a worker', () => {
  const tasks = '/srv/shop/tasks'

  it('have defaults; options override them, and the environment overrides options', () => {
    expect(workerSettings({ tasks }, {})).toMatchObject({
      concurrency: 10,
      pollInterval: 2000,
      stopTimeout: 20_000,
      once: false,
    })
    const options = { tasks, concurrency: 5, pollInterval: '1s' as const, health: 9394, once: true }
    expect(workerSettings(options, {})).toMatchObject({
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
    expect(workerSettings(options, env)).toMatchObject({
      concurrency: 7,
      pollInterval: 250,
      health: { host: '0.0.0.0', port: 80 },
      stopTimeout: 60_000,
    })
    expect(workerSettings({ tasks, health: '[::1]:9394' }, {}).health).toEqual({ host: '::1', port: 9394 })
  })

  it.each([
    [{ ASYNC_WORKER_CONCURRENCY: '0' }, 'ASYNC_WORKER_CONCURRENCY is "0". It must be a whole number from 1 to 1000.'],
    [{ ASYNC_WORKER_CONCURRENCY: 'many' }, 'ASYNC_WORKER_CONCURRENCY is "many".'],
    [{ ASYNC_WORKER_CONCURRENCY: '100000' }, 'ASYNC_WORKER_CONCURRENCY is "100000".'],
    [{ ASYNC_WORKER_ONCE: 'yes' }, 'ASYNC_WORKER_ONCE is "yes". It must be 1 or true, 0 or false.'],
    [{ ASYNC_WORKER_SLEEP: '0' }, 'ASYNC_WORKER_SLEEP is "0". It must be a duration from 10ms to 1 hour'],
    [{ ASYNC_WORKER_SLEEP: 'soon' }, 'ASYNC_WORKER_SLEEP is "soon".'],
    [{ ASYNC_WORKER_STOP_TIMEOUT: '1 year' }, 'ASYNC_WORKER_STOP_TIMEOUT is "1 year".'],
    [{ ASYNC_WORKER_HEALTH: 'localhost' }, 'ASYNC_WORKER_HEALTH is "localhost". It must be a port'],
    [{ ASYNC_WORKER_HEALTH: '123456' }, 'ASYNC_WORKER_HEALTH is "123456".'],
    [{ ASYNC_WORKER_LOG: 'xml' }, 'ASYNC_WORKER_LOG is "xml". It must be pretty or json.'],
  ])('reject %j', (env, message) => {
    expect(() => workerSettings({ tasks }, env)).toThrow(message)
  })

  it.each([
    [{ concurrency: 0 }, 'The option concurrency is 0. It must be a whole number from 1 to 1000.'],
    [{ concurrency: Number.NaN }, 'The option concurrency is NaN.'],
    [{ concurrency: 1.5 }, 'The option concurrency is 1.5.'],
    [{ prefetch: -1 }, 'The option prefetch is -1. It must be a whole number from 0 to 10000.'],
    [{ sweepEvery: 0 }, 'The option sweepEvery is 0. It must be a duration from 100ms to 1 hour'],
    [{ pollInterval: Number.POSITIVE_INFINITY }, 'The option pollInterval is Infinity.'],
    [{ stopTimeout: -1 }, 'The option stopTimeout is -1.'],
    [{ health: 99_999 }, 'The option health is 99999.'],
    [{ once: 'no' as never }, 'The option once is "no".'],
    [{ tasks: undefined as never }, 'The option tasks is undefined.'],
    [{ tasks: new URL('https://example.org/tasks/') }, 'The option tasks is URL'],
    [{ tasks: { attempt: 'attempt.js' as never } }, 'an object of task functions by name'],
    [{ crontab: 5 as never }, 'The option crontab is 5.'],
  ])('reject the options %o', (options, message) => {
    expect(() => workerSettings({ tasks, ...options }, {})).toThrow(message)
  })

  it.each([
    [
      '# nightly\n\n0 4 * * * report\n0 25 * * * report',
      'Line 4 of the crontab, "0 25 * * * report", is not valid: Too large',
    ],
    ['at four', 'Line 1 of the crontab, "at four", is not valid:'],
    ['\r\n* * * * * report {', 'Line 2 of the crontab, "* * * * * report {", is not valid:'],
    [
      '0 4 * * * report ?id=a\n0 5 * * * report ?id=a',
      "The crontab is not valid: Invalid crontab; duplicate identifiers found: 'a'",
    ],
  ])('name the bad line of the crontab %j', (crontab, message) => {
    const refused = () => parsedCrontab(graphile, crontab)
    expect(refused).toThrow(message)
    expect(refused).toThrow(expect.objectContaining({ code: 'INVALID_CRONTAB' }))
  })

  it('accept a valid crontab, and tasks as an object', () => {
    const attempt = async () => {}
    const crontab = '# nightly\n0 4 * * * report ?max=2 {a: 1}\n'
    expect(workerSettings({ tasks: { attempt }, crontab }, {})).toMatchObject({ tasks: { attempt }, crontab })
    expect(parsedCrontab(graphile, crontab)).toMatchObject([{ task: 'report', payload: { a: 1 } }])
  })

  it('are valid or rejected with a message, for any environment and options', () => {
    const text = fc.oneof(
      fc.string(),
      fc.integer().map(String),
      fc.double().map(String),
      fc.constantFrom('1', 'true', '5s', '-1 day'),
    )
    const value = fc.oneof(text, fc.integer(), fc.double(), fc.anything({ withNullPrototype: true }))
    const names = ['CONCURRENCY', 'SLEEP', 'STOP_TIMEOUT', 'HEALTH', 'LOG', 'ONCE'].map(
      (name) => `ASYNC_WORKER_${name}`,
    )
    const keys = [
      'concurrency',
      'pollInterval',
      'prefetch',
      'sweepEvery',
      'stopTimeout',
      'crontab',
      'health',
      'log',
      'once',
      'tasks',
    ]
    const some = (list: string[], each: fc.Arbitrary<unknown>) =>
      fc.dictionary(fc.constantFrom(...list), each, { maxKeys: 2 })
    fc.assert(
      fc.property(some(names, text), some(keys, value), (env, options) => {
        try {
          const settings = workerSettings({ tasks, ...options } as RunWorkerOptions, env as NodeJS.ProcessEnv)
          for (const time of [settings.pollInterval, settings.sweepEvery, settings.stopTimeout, settings.concurrency])
            expect(time).toSatisfy((number: number) => number >= 0 && number < 2 ** 31)
          expect(settings.once).toBeTypeOf('boolean')
        } catch (error) {
          expect(error).toBeInstanceOf(AsyncGenError)
          expect((error as AsyncGenError).code).toMatch(/^INVALID_(SETTING|CRONTAB)$/)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the tasks of a worker', () => {
  it('that are missing cause an error that says what to do', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'async-gen-worker-'))
    onTestFinished(() => rmSync(empty, { recursive: true }))
    for (const given of [empty, join(empty, 'gone'), {}]) {
      const error = await loadTasks(given).catch((caught) => caught)
      expect(error).toMatchObject({ code: 'NO_TASKS', message: expect.stringContaining('{ tasks: { attempt, ') })
    }
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

  it('is the built file if nothing can run TypeScript', () => {
    const root = project(['src/async/worker.ts', 'dist/async/worker.js'], { tsx: false })
    expect(findWorkerModule(root, undefined)).toBe(join(root, 'dist/async/worker.js'))
  })

  it('is not a .cts file, which tsx cannot run', async () => {
    const root = project(['src/async/worker.cts', 'dist/async/worker.cjs'], { tsx: true })
    expect(findWorkerModule(root, undefined)).toBe(join(root, 'dist/async/worker.cjs'))
    await expect(loadModule(join(root, 'src/async/worker.cts'))).rejects.toThrow('Rename it to worker.ts')
  })

  it('is only the given path, if there is one', () => {
    const root = project(['jobs.ts'], { tsx: true })
    expect(findWorkerModule(root, 'jobs.ts')).toBe(join(root, 'jobs.ts'))
    expect(() => findWorkerModule(root, 'job.ts')).toThrow('job.ts does not exist')
    expect(() => findWorkerModule(root, undefined)).toThrow('npx async-gen install')
  })

  function project(files: string[], { tsx }: { tsx: boolean }): string {
    const root = mkdtempSync(join(tmpdir(), 'async-gen-worker-'))
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
