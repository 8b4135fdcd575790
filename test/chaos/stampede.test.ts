import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { prisma } from '../.app/src/db.js'
import { eventually } from '../support/eventually.js'
import { REPOSITORY } from '../support/host.js'
import { bundled } from '../support/programs.js'
import { childEnv } from '../support/run.js'
import { effects, url, worker } from './scene.js'

const PROCESSES = 8

interface Readers {
  process: ChildProcessByStdio<Writable, Readable, null>
  /** What they print, a line at a time. */
  answers: AsyncIterator<string>
}

let crowd: Readers[] = []

beforeAll(async () => {
  crowd = Array.from({ length: PROCESSES }, () => {
    const child = spawn(process.execPath, [bundled('test/chaos/host/stampede.ts')], {
      cwd: REPOSITORY,
      env: childEnv({ DATABASE_URL: url }),
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    return { process: child, answers: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
  })
  for (const { answers } of crowd) expect((await answers.next()).value).toBe('"ready"')
}, 120_000)

afterAll(async () => {
  await prisma.$disconnect()
  for (const { process } of crowd) process.stdin.end()
  await Promise.all(crowd.map(({ process }) => process.exitCode ?? once(process, 'exit')))
})

/** Lets 200 readers loose in each of the eight processes, and returns the different answers that they got. */
async function stampede(what: string): Promise<unknown[]> {
  for (const { process } of crowd) process.stdin.write(`${what}\n`)
  const lines = await Promise.all(crowd.map(({ answers }) => answers.next()))
  const all = lines.flatMap(({ value }) => JSON.parse(value) as unknown[])
  return [...new Set(all.map((answer) => JSON.stringify(answer)))].sort().map((text) => JSON.parse(text))
}

const refreshed = () =>
  eventually('the refresh', async () => (await prisma.toast.findFirstOrThrow()).refreshAt === null)

const computations = async (what: string) => (await effects()).filter((effect) => effect.what === what).length

describe('8 processes with 200 readers each', () => {
  it('C14: a missing entry is computed once, by one of them, and all get its value', async () => {
    expect(await stampede('fetch 1')).toEqual([{ computations: 1 }])
  })

  it('C1, C10: with a worker, an outdated entry is computed once, and all get the old value', async () => {
    await stampede('fetch 1')
    await worker()
    expect(await stampede('fetch 2')).toContainEqual({ computations: 1 })
    await refreshed()
    expect(await stampede('fetch 2')).toEqual([{ computations: 2 }])
  })

  it('C1, C14: without a worker, an outdated entry is computed once, and all get the new value', async () => {
    await stampede('fetch 1')
    expect(await stampede('fetch 2')).toEqual([{ computations: 2 }])
  })

  it('T10: a missing toast is computed once, by the worker, and reads with `wait` get its value', async () => {
    await prisma.oat.create({ data: { name: 'Steel cut' } })
    await worker()
    expect(await stampede('read')).toContainEqual({ error: 'Data not yet available' })
    expect(await stampede('wait')).toEqual(['Steel cut'])
    expect(await computations('breakfast computed')).toBe(1)
  })

  it('T10: a stale toast is computed once, by the worker, and all get the old value meanwhile', async () => {
    await worker()
    await stampede('wait')
    await prisma.oat.updateMany({ data: { name: 'Rolled' } })
    expect(await stampede('read')).toContainEqual({ oat: 'Steel cut', stale: true })
    await refreshed()
    expect(await stampede('read')).toEqual([{ oat: 'Rolled', stale: false }])
    expect(await computations('breakfast computed')).toBe(2)
  })

  it('T10: a toast that all read with `fresh` is computed once', async () => {
    expect(await stampede('fresh')).toEqual(['Rolled'])
    expect(await computations('breakfast computed')).toBe(1)
  })
})
