import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { runInThisContext } from 'node:vm'
import { asyncCached, connect, hasToast, refreshReportTask, runWorker } from '@async-gen/runtime'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toastsOf } from '../../runtime/src/toast/registry.js'
import { db } from '../.app/src/async/database.js'
import { Report } from '../.app/src/async/report.js'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'

const url = await testDatabase()

const warnings: (Error & { code?: string })[] = []
const listen = (warning: Error) => void warnings.push(warning)
let fresh = connect(prisma, { connectionString: url })

beforeEach(() => {
  process.on('warning', listen)
  fresh = connect(prisma, { connectionString: url })
})
afterEach(async () => {
  process.off('warning', listen)
  warnings.length = 0
  await fresh.close()
})
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

/** Evaluates a module of that name, as it stands after so many lines. */
function evaluate(file: string, code: string, line = 1) {
  const module = runInThisContext(`(db, { hasToast, asyncCached }) => {${code}}`, {
    filename: file,
    lineOffset: line - 1,
  })
  module(fresh, { hasToast, asyncCached })
}

const TOAST = `hasToast(db, 'oat', 'breakfast', { compute: () => 1 })`
const refused = () => toastsOf(fresh).refuseDuplicates()

describe('two definitions of one name', () => {
  it.each([
    ['two toasts', TOAST, `hasToast(db, 'oat', 'breakfast', { compute: () => 2 })`],
    ['two toasts of the same text', TOAST, TOAST],
    ['two cached functions', `asyncCached(db, 'oat.breakfast', () => 1)`, `asyncCached(db, 'oat.breakfast', () => 2)`],
    ['a toast and a cached function', TOAST, `asyncCached(db, 'oat.breakfast', () => 2)`],
  ])('T1, C5: %s in different files: a warning names both places, and no worker starts', async (_, one, other) => {
    evaluate('/app/a.ts', one)
    evaluate('file:///app/b.ts', other, 7)
    await setImmediate()
    expect(warnings).toMatchObject([{ code: 'DEFINED_TWICE', message: expect.stringContaining('oat.breakfast') }])
    const message = expect.stringMatching(
      /oat\.breakfast is defined twice.* at \/app\/a\.ts:1:\d+ and at \/app\/b\.ts:7:\d+\./,
    )
    expect(refused).toThrow(expect.objectContaining({ code: 'DEFINED_TWICE', message }))
  })

  it('T1: in one file: no worker starts', () => {
    evaluate('/app/a.ts', `${TOAST}\n${TOAST}`)
    expect(refused).toThrow('oat.breakfast is defined twice')
  })

  it('T1: through one helper: no worker starts', () => {
    evaluate('/app/a.ts', `for (const compute of [() => 1, () => 2]) hasToast(db, 'oat', 'breakfast', { compute })`)
    expect(refused).toThrow('oat.breakfast is defined twice')
  })

  it('T1: a module that is evaluated again (development server, two loaders) is no duplicate', async () => {
    evaluate('/app/toasts.ts?t=1', TOAST)
    evaluate('/app/toasts.ts?t=2', TOAST)
    expect(refused).not.toThrow()
    evaluate('/app/toasts.ts?t=3', TOAST.replace('1', '2'), 3)
    await setImmediate()
    expect(warnings, 'the last one counts').toEqual([])
  })

  it('C5: two versions of the code are two names', () => {
    evaluate('/app/a.ts', `asyncCached(db, 'x', () => 1); asyncCached(db, 'x', () => 2, { version: 2 })`)
    expect(refused).not.toThrow()
  })

  it('T1: a worker logs the error and ends before it takes a job', async () => {
    evaluate('/app/a.ts', TOAST)
    evaluate('/app/b.ts', TOAST)
    const tasks = mkdtempSync(join(tmpdir(), 'tasks-'))
    writeFileSync(join(tasks, 'none.mjs'), 'export default async () => {}')
    await expect(runWorker(fresh, { tasks })).rejects.toThrow(expect.objectContaining({ code: 'DEFINED_TWICE' }))
  })

  it('T15: for reports, the error names the files of the classes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'reports-'))
    Object.assign(globalThis, { Report })
    writeFileSync(join(folder, 'a.mjs'), 'export class Sales extends Report { async build() { return 1 } }')
    writeFileSync(join(folder, 'b.mjs'), 'export class Sales extends Report { async build() { return 2 } }')
    const task = refreshReportTask(Report, folder)
    await expect(task({ name: 'Sales.build', key: '1' }, {} as never)).rejects.toThrow(
      `at ${join(folder, 'a.mjs')} and at ${join(folder, 'b.mjs')}`,
    )
  })
})
