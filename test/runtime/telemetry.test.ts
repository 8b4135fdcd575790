import { tracingChannel } from 'node:diagnostics_channel'
import { setTimeout } from 'node:timers/promises'
import { asyncCached, BaseAttempt, defineTargets, defineToast, type OperationEvent } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  AggregationTemporality,
  type DataPoint,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { sweptTables } from '../../runtime/src/core/swept-table.js'
import { toastOf } from '../../runtime/src/report/report.js'
import { registerQueueGauges } from '../../runtime/src/worker/opentelemetry-gauges.js'
import { testDatabase } from '../support/database.js'
import { countQueries } from '../support/queries.js'

await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { Report } = await import('../.app/src/async/report.js')
const { prisma } = await import('../.app/src/db.js')

const Baker = {
  bake: async (what: string) => `${what}, warm`,
  burn: async () => {
    throw new Error('smoke')
  },
  char: async () => {
    throw new TypeError('more smoke')
  },
  drop: async () => {
    await prisma.attempt.delete({ where: { id: Attempt.current().attempt.id } })
  },
}

class Sales extends Report {
  override async build() {
    return 1
  }
}

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Baker }) }) {}

afterAll(() => prisma.attempt.deleteMany())

describe('diagnostics channels', () => {
  const told: (OperationEvent & { moment: string })[] = []
  const run = tracingChannel('async-gen:run')
  const listeners = {
    start: (message: unknown) => void told.push({ ...(message as OperationEvent), moment: 'start' }),
    asyncEnd: (message: unknown) => void told.push({ ...(message as OperationEvent), moment: 'end' }),
  }
  beforeEach(() => {
    told.length = 0
    run.start.subscribe(listeners.start)
    run.asyncEnd.subscribe(listeners.asyncEnd)
  })
  afterEach(() => {
    run.start.unsubscribe(listeners.start)
    run.asyncEnd.unsubscribe(listeners.asyncEnd)
  })

  it('publish the start of a run and its outcome', async () => {
    const { id } = await Attempt.async(Baker).bake('bread')
    await Attempt.perform(id)
    const common = { type: 'Attempt', id: `${id}`, name: 'Baker.bake', run: 1 }
    expect(told).toMatchObject([
      { ...common, moment: 'start' },
      { ...common, moment: 'end', outcome: 'succeeded', elapsed: expect.any(Number) },
    ])
    expect(told[1], 'what the call returned is nobody else’s business').not.toHaveProperty('result')
  })

  it('publish whether a failed call will be retried', async () => {
    for (const maxAttempts of [2, 1]) {
      const { id } = await Attempt.create({ target: Baker, method: 'burn', maxAttempts })
      await Attempt.perform(id)
    }
    const ends = told.filter(({ moment }) => moment === 'end')
    expect(ends).toMatchObject([
      { outcome: 'retried', error: { name: 'Error', message: 'smoke' } },
      { outcome: 'failed', error: { name: 'Error', message: 'smoke' } },
    ])
  })

  it('publish a run once whose row is deleted meanwhile', async () => {
    const { id } = await Attempt.async(Baker).drop()
    await Attempt.perform(id)
    expect(told).toMatchObject([{ moment: 'start' }, { moment: 'end', outcome: 'superseded' }])
    expect(await prisma.attempt.count({ where: { id } })).toBe(0)
  })

  it('publish the runs of refreshes and builds, and whether a failed one will be retried', async () => {
    const ends: (OperationEvent & { operation: string })[] = []
    for (const operation of ['refresh', 'build']) {
      const { asyncEnd } = tracingChannel(`async-gen:${operation}`)
      const noteEnd = (message: unknown) => void ends.push({ ...(message as OperationEvent), operation })
      asyncEnd.subscribe(noteEnd)
      onTestFinished(() => void asyncEnd.unsubscribe(noteEnd))
    }
    onTestFinished(async () => void (await prisma.toast.deleteMany()))

    const parent = { id: 1, updatedAt: new Date() }
    let compute = () => Baker.burn() as Promise<unknown>
    const toast = defineToast(db, 'noted', { load: async () => parent, compute: () => compute() })
    await refreshNow(db, toast, parent)
    compute = async () => 1
    await prisma.toast.updateMany({ where: { name: 'noted' }, data: { refreshAt: new Date(0) } })
    await refreshNow(db, toast, parent)
    const cached = asyncCached(db, 'noted once', Baker.burn)
    await expect(cached.fetch('thing', 1)).rejects.toThrow('smoke')
    const report = await Sales.create({})
    await refreshNow(db, toastOf(Sales), report as never)

    const error = { name: 'Error', message: 'smoke' }
    expect(ends).toMatchObject([
      { operation: 'refresh', type: 'Toast', name: 'noted', id: '1', run: 1, outcome: 'retried', error },
      { operation: 'refresh', type: 'Toast', name: 'noted', id: '1', run: 2, outcome: 'succeeded' },
      { type: 'Toast', name: expect.stringContaining('noted once'), run: 1, outcome: 'failed', error },
      { operation: 'build', type: 'Report', name: 'Sales.build', id: `${report.id}`, run: 1, outcome: 'succeeded' },
    ])
    expect(ends[1]).not.toHaveProperty('error')
  })
})

describe('OpenTelemetry', () => {
  const spans = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 })
  const meters = new MeterProvider({ readers: [reader] })
  beforeEach(() => {
    spans.reset()
    trace.setGlobalTracerProvider(provider)
    context.setGlobalContextManager(new AsyncLocalStorageContextManager())
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    metrics.setGlobalMeterProvider(meters)
  })
  afterEach(() => {
    for (const api of [trace, context, propagation, metrics]) api.disable()
  })

  it('gets a span for recording, in the trace of the request, and a linked one for the run', async () => {
    const { id } = await trace.getTracer('test').startActiveSpan('POST /orders', async (request) => {
      const attempt = await Attempt.async(Baker).bake('bread')
      request.end()
      return attempt
    })
    await Attempt.perform(id)

    const [create, request, run] = spans.getFinishedSpans()
    expect([create, request, run].map((span) => span!.name)).toEqual([
      'create Baker.bake',
      'POST /orders',
      'run Baker.bake',
    ])
    expect(create!.parentSpanContext?.spanId).toBe(request!.spanContext().spanId)
    expect(create!.kind).toBe(SpanKind.PRODUCER)
    expect(run!.kind).toBe(SpanKind.CONSUMER)
    expect(run!.spanContext().traceId).not.toBe(request!.spanContext().traceId)
    expect(run!.links.map((link) => link.context.spanId)).toEqual([create!.spanContext().spanId])
    expect(run!.attributes).toMatchObject({
      'messaging.message.id': `${id}`,
      'messaging.operation.name': 'run',
      'messaging.destination.name': 'Baker.bake',
      'async_gen.run': 1,
      'async_gen.outcome': 'succeeded',
    })
  })

  it('gets spans for a refresh and a build, linked to the read or `expire` that requested them', async () => {
    const parent = { id: 1, updatedAt: new Date() }
    const toast = defineToast(db, 'traced', { load: async () => parent, compute: () => 1, expireIn: '1 day' })
    const report = await Sales.create({})
    const asked = async (name: string, ask: () => Promise<unknown>) => {
      return await trace.getTracer('test').startActiveSpan(name, async (request) => {
        await ask()
        request.end()
        return request.spanContext()
      })
    }
    const spanOf = (name: string) => spans.getFinishedSpans().findLast((span) => span.name === name)!

    const read = await asked('GET /toast', () => toast(parent))
    await refreshNow(db, toast, parent)
    expect(spanOf('refresh traced').links.map(({ context }) => context)).toMatchObject([
      { traceId: read.traceId, spanId: read.spanId },
    ])
    const expired = await asked('POST /toast', () => toast.expire(parent))
    await refreshNow(db, toast, parent)
    expect(spanOf('refresh traced').links.map(({ context }) => context.spanId)).toEqual([expired.spanId])

    const requested = await asked('GET /report', () => report.build())
    await refreshNow(db, toastOf(Sales), report as never)
    expect(spanOf('build Sales.build').links.map(({ context }) => context.spanId)).toEqual([requested.spanId])

    // A reader that computes the value itself has the computation in its own trace.
    const demanded = await asked('GET /fresh', async () => {
      await toast.expire(parent)
      await toast.fresh(parent)
    })
    expect(spanOf('refresh traced')).toMatchObject({
      links: [],
      parentSpanContext: { traceId: demanded.traceId, spanId: demanded.spanId },
    })
  })

  /** The data points of each metric, by its name. */
  async function collect(): Promise<(name: string) => DataPoint<unknown>[]> {
    const { resourceMetrics, errors } = await reader.collect()
    expect(errors).toEqual([])
    const all = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
    return (name) => all.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? []
  }

  it('gets the error of a failed run', async () => {
    const { id } = await Attempt.create({ target: Baker, method: 'burn', maxAttempts: 1 })
    await Attempt.perform(id)
    const run = spans.getFinishedSpans().find(({ name }) => name === 'run Baker.burn')!
    expect(run.status).toEqual({ code: SpanStatusCode.ERROR, message: 'smoke' })
    expect(run.events).toMatchObject([{ name: 'exception', attributes: { 'exception.message': 'smoke' } }])
  })

  it('counts recorded attempts and outcomes, named by the semantic conventions', async () => {
    const char = { target: Baker, method: 'char', maxAttempts: 1 } as const
    const attempts = await Attempt.createMany([{ target: Baker, method: 'bake', args: ['bread'] }, char, char])
    for (const { id } of attempts) await Attempt.perform(id)

    const collected = await collect()
    expect(collected('messaging.client.sent.messages')).toContainEqual(
      expect.objectContaining({
        value: 3,
        attributes: {
          'messaging.system': 'async-gen',
          'messaging.operation.name': 'create',
          'messaging.operation.type': 'create',
          'async_gen.type': 'Attempt',
          'async_gen.outcome': 'succeeded',
        },
      }),
    )
    const failed = {
      'messaging.system': 'async-gen',
      'messaging.operation.name': 'run',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'Baker.char',
      'async_gen.type': 'Attempt',
      'async_gen.outcome': 'failed',
      'error.type': 'TypeError',
    }
    expect(collected('messaging.client.consumed.messages')).toContainEqual(
      expect.objectContaining({ attributes: failed, value: 2 }),
    )
    const [duration] = collected('messaging.process.duration').filter(
      ({ attributes }) => attributes['error.type'] === 'TypeError',
    )
    expect(duration).toMatchObject({ attributes: failed, value: { count: 2 } })
    const { boundaries } = (duration!.value as Histogram).buckets
    expect([boundaries[0], boundaries.at(-1)], 'buckets in seconds').toEqual([0.005, 600])
  })

  it('reads the queue statistics when it collects, while there is a worker', async () => {
    await prisma.attempt.deleteMany()
    await Attempt.create({ target: Baker, method: 'bake', args: ['bread'], scheduledAt: new Date(Date.now() - 60_000) })
    await Attempt.schedule(new Date(Date.now() + 60_000), Baker).bake('cake')
    const burnt = await Attempt.create({ target: Baker, method: 'burn', maxAttempts: 1 })
    await Attempt.perform(burnt.id)
    let state: Awaited<ReturnType<typeof collect>>
    const queries = await countQueries(db, async () => {
      const removeGauges = registerQueueGauges(db)
      await setTimeout(10)
      state = await collect()
      removeGauges()
    })
    expect(queries, 'one for each table, one for the workers, one for the pauses').toBe(sweptTables(db).size + 2)

    const rows = Object.fromEntries(
      state!('async_gen.rows')
        .filter(({ attributes }) => attributes['async_gen.table'] === 'attempts')
        .map(({ attributes, value }) => [attributes['async_gen.state'], value]),
    )
    expect(rows).toEqual({ due: 1, paused: 0, limited: 0, blocked: 0, running: 0, failed: 1 })
    expect(state!('async_gen.workers')).toMatchObject([{ value: 0 }])
    const [oldest] = state!('async_gen.oldest_due').filter(
      ({ attributes }) => attributes['async_gen.table'] === 'attempts',
    )
    expect(oldest!.value).toBeGreaterThanOrEqual(60)
    expect(await countQueries(db, async () => void (await collect()))).toBe(0)
  })

  it('causes no query if no SDK collects', async () => {
    metrics.disable()
    expect(
      await countQueries(db, async () => {
        registerQueueGauges(db)
        await reader.forceFlush()
      }),
    ).toBe(0)
  })

  it('stores nothing in a row without a trace', async () => {
    trace.disable()
    propagation.disable()
    const { id } = await Attempt.async(Baker).bake('bread')
    expect(await prisma.attempt.findUnique({ where: { id } })).toMatchObject({ traceContext: null })
    const report = await Sales.create({})
    await report.expire()
    const name = 'Sales.build'
    expect(await prisma.toast.findFirst({ where: { name } })).toMatchObject({ traceContext: null, epoch: 1 })
    await prisma.toast.deleteMany({ where: { name } })
    await report.build()
    expect(await prisma.toast.findFirst({ where: { name } })).toMatchObject({ traceContext: null, epoch: 0 })
  })
})
