import { isReady, type ToastComputation } from '@async-gen/runtime'
import { computeInline } from '@async-gen/runtime/testing'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toastOf } from '../../runtime/src/report/report.js'
import { refreshToast } from '../../runtime/src/toast/refresh.js'
import { db } from '../.app/src/async/database.js'
import { Report } from '../.app/src/async/report.js'
import { prisma } from '../.app/src/db.js'
import { testDatabase } from '../support/database.js'

await testDatabase()

beforeEach(async () => {
  await prisma.toast.deleteMany()
  await prisma.report.deleteMany()
})
afterEach(() => computeInline(db, false))
afterAll(async () => {
  await db.close()
  await prisma.$disconnect()
})

class Sales extends Report<{ month: string; verbose?: boolean; limit?: bigint }> {
  override async build() {
    return { title: `Sales of ${this.args.month}` }
  }
}

/** What the worker does with the report's job. */
const work = (type: string, id: bigint, stopping?: AbortSignal) =>
  refreshToast(db, { name: `${type}.build`, key: String(id) }, stopping)

describe('T15: a report', () => {
  it('has one row for each type and set of arguments; order and undefined keys do not matter', async () => {
    const first = await Sales.create({ month: 'January', verbose: true })
    const again = await Sales.create({ verbose: true, month: 'January' })
    const other = await Sales.create({ month: 'January' })
    const undefinedToo = await Sales.create({ month: 'January', verbose: undefined as never })
    class Costs extends Report<{ month: string }> {}
    const costs = await Costs.create({ month: 'January' })

    expect(again.id).toBe(first.id)
    expect(undefinedToo.id).toBe(other.id)
    expect(new Set([first.id, other.id, costs.id]).size).toBe(3)
    expect(await prisma.report.findMany({ select: { type: true } })).toHaveLength(3)
  })

  it('is created once by many concurrent calls of `create`', async () => {
    const reports = await Promise.all(Array.from({ length: 20 }, () => Sales.create({ month: 'May' })))
    expect(new Set(reports.map(({ id }) => id)).size).toBe(1)
  })

  it('rejects circular arguments', async () => {
    const args: { month: string; self?: unknown } = { month: 'May' }
    args.self = args
    await expect(Sales.create(args)).rejects.toThrow('args.self contains itself')
  })

  it('keeps the types of its arguments', async () => {
    const { args } = await Sales.create({ month: 'January', limit: 2n ** 64n })
    expect(args).toEqual({ month: 'January', limit: 2n ** 64n })
  })

  it('is a toast: first a placeholder, then the value that its task has built', async () => {
    const report = await Sales.create({ month: 'January' })
    expect(await report.build()).toEqual({ error: 'Data not yet available' })
    expect(await prisma.toast.findMany()).toMatchObject([
      { name: 'Sales.build', key: String(report.id), task: 'refresh_report' },
    ])
    expect(await work('Sales', report.id)).toBe('refreshed')
    const reading = await report.build()
    expect(isReady(reading) && reading.title).toBe('Sales of January')
  })

  it('has `peek`, `fresh`, `expire` and `compute`', async () => {
    const report = await Sales.create({ month: 'January' })
    expect(await report.compute()).toEqual({ title: 'Sales of January' })
    expect(await report.peek()).toEqual({ error: 'Data not yet available' })
    expect(await prisma.toast.count()).toBe(0)
    expect(await report.isStale()).toBe(true)
    expect(await report.fresh()).toMatchObject({ title: 'Sales of January', toastr: { stale: false } })
    await report.expire()
    expect(await report.build()).toMatchObject({ title: 'Sales of January', toastr: { stale: true } })
  })

  it('without build() fails with an error that says so', async () => {
    class Empty extends Report {}
    const report = await Empty.create({})
    await expect(report.fresh()).rejects.toThrow('Not implemented: Empty needs a method build().')
  })

  it('has the staleness options of its class', async () => {
    class Weekly extends Sales {
      static readonly expireIn = '1 day'
      static readonly maxStale = '2 days'
    }
    const report = await Weekly.create({ month: 'January' })
    await report.fresh()
    const age = (hours: number) =>
      prisma.toast.updateMany({ data: { cachedAt: new Date(Date.now() - hours * 3_600_000) } })
    await age(23)
    expect(await report.build()).toMatchObject({ toastr: { stale: false } })
    await age(25)
    expect(await report.build()).toMatchObject({ toastr: { stale: true } })
    await age(49)
    expect(await report.build()).toEqual({ error: 'Data not yet available' })
  })

  it.each([
    [
      'a field',
      () =>
        class extends Sales {
          static override readonly type = 'Yearly'
        },
    ],
    [
      // What compilers make of it for targets before ES2022: `next build`, tsx and esbuild, after the host's tsconfig.
      'an assignment',
      () => {
        class Minified extends Sales {}
        Minified.type = 'Yearly'
        return Minified
      },
    ],
  ])('can have another type than the name of its class: by %s', async (_how, makeClass) => {
    await (await makeClass().create({ month: 'all' })).build()
    expect(await prisma.report.findMany()).toMatchObject([{ type: 'Yearly' }])
    expect(await prisma.toast.findMany()).toMatchObject([{ name: 'Yearly.build' }])
    expect(Sales.type).toBe('Sales')
  })

  it('T11: has its value at the first read with `computeInline`', async () => {
    computeInline(db)
    expect(await (await Sales.create({ month: 'June' })).build()).toMatchObject({ title: 'Sales of June' })
  })
})

describe('a long build', () => {
  it('reports its progress, which readers see', async () => {
    const seen: unknown[] = []
    class Long extends Report {
      override async build({ progress }: ToastComputation) {
        progress(0.4, 'April')
        await vi.waitFor(async () =>
          expect(await prisma.toast.findMany()).toMatchObject([{ progress: 0.4, progressMessage: 'April' }]),
        )
        seen.push(await (await Long.create({})).build())
        return { rows: 3 }
      }
    }
    const report = await Long.create({})
    await report.build()
    expect(await work('Long', report.id)).toBe('refreshed')
    expect(seen).toEqual([{ error: 'Data not yet available', progress: 0.4, progressMessage: 'April' }])
    expect(await report.build()).toMatchObject({ rows: 3 })
  })

  it('has a signal that aborts when the worker stops, and is then released', async () => {
    const stopping = new AbortController()
    class Endless extends Report {
      override async build({ signal }: ToastComputation) {
        setTimeout(() => stopping.abort(), 10)
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        return {}
      }
    }
    const report = await Endless.create({})
    await report.build()
    expect(await work('Endless', report.id, stopping.signal)).toBe('released')
    expect(await prisma.toast.findMany()).toMatchObject([{ failures: 0, lockedBy: null, refreshAt: expect.any(Date) }])
  })

  it('can be run with `compute`, with a signal that never aborts', async () => {
    class Patient extends Report {
      override async build({ signal, progress }: ToastComputation) {
        progress(1)
        return { aborted: signal.aborted }
      }
    }
    expect(await (await Patient.create({})).compute()).toEqual({ aborted: false })
    expect(toastOf(Patient).toastName).toBe('Patient.build')
  })
})
