import { tracingChannel } from 'node:diagnostics_channel'
import { BaseAttempt, defineTargets, defineToast, type Telling } from '@async-gen/runtime'
import { refreshNow } from '@async-gen/runtime/testing'
import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { toastOf } from '../../runtime/src/report/report.js'
import { testDatabase } from '../support/database.js'

await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { Report } = await import('../.app/src/async/report.js')
const { prisma } = await import('../.app/src/db.js')

const Baker = {
  bake: async (what: string) => `${what}, warm`,
  burn: async () => {
    throw new Error('smoke')
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
  const told: (Telling & { moment: string })[] = []
  const run = tracingChannel('async-gen:run')
  const listeners = {
    start: (message: unknown) => void told.push({ ...(message as Telling), moment: 'start' }),
    asyncEnd: (message: unknown) => void told.push({ ...(message as Telling), moment: 'end' }),
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

  it('tell when a run begins, and what became of it', async () => {
    const { id } = await Attempt.async(Baker).bake('bread')
    await Attempt.perform(id)
    const common = { type: 'Attempt', id: `${id}`, name: 'Baker.bake', run: 1 }
    expect(told).toMatchObject([
      { ...common, moment: 'start' },
      { ...common, moment: 'end', outcome: 'succeeded', elapsed: expect.any(Number) },
    ])
    expect(told[1], 'what the call returned is nobody else’s business').not.toHaveProperty('result')
  })

  it('tell of a failure whether the call is made again', async () => {
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

  it('gets a span for the recording, in the trace of the request, and one for the run, linked to it', async () => {
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
      'async_gen.run': 1,
      'async_gen.outcome': 'succeeded',
    })
  })

  it('gets a span for a refresh and for a build, linked to the read or the `expire` that asked for it', async () => {
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

    // Whoever computes for itself has the computation in its own trace.
    const demanded = await asked('GET /fresh', async () => {
      await toast.expire(parent)
      await toast.fresh(parent)
    })
    expect(spanOf('refresh traced')).toMatchObject({
      links: [],
      parentSpanContext: { traceId: demanded.traceId, spanId: demanded.spanId },
    })
  })

  it('gets the error of a run that failed, and a histogram of durations', async () => {
    const { id } = await Attempt.create({ target: Baker, method: 'burn', maxAttempts: 1 })
    await Attempt.perform(id)
    const run = spans.getFinishedSpans().find(({ name }) => name === 'run Baker.burn')!
    expect(run.status).toEqual({ code: SpanStatusCode.ERROR, message: 'smoke' })
    expect(run.events).toMatchObject([{ name: 'exception', attributes: { 'exception.message': 'smoke' } }])

    await reader.forceFlush()
    const [metric] = measured.getMetrics().at(-1)!.scopeMetrics[0]!.metrics
    expect(metric!.descriptor).toMatchObject({ name: 'async_gen.duration', unit: 's' })
    expect(metric!.dataPoints.filter(({ attributes }) => attributes.name === 'Baker.burn')).toMatchObject([
      { attributes: { deed: 'run', type: 'Attempt', name: 'Baker.burn', outcome: 'failed' }, value: { count: 1 } },
    ])
  })

  it('costs no row anything where there is no trace', async () => {
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
