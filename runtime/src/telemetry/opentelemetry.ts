import { createRequire } from 'node:module'
import type * as OpenTelemetry from '@opentelemetry/api'
import type { Operation, OperationEvent, TraceContext } from './operation.js'

type Api = typeof OpenTelemetry

/** Where the API keeps what an SDK has registered. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1')

let loaded: { api: Api | undefined } | undefined

/**
 * OpenTelemetry's API, an optional peer; undefined if the host has not installed it, or no SDK has registered anything yet. Without an SDK,
 * its 44 modules would cost time and memory for nothing.
 */
export function openTelemetry(): Api | undefined {
  if (!loaded && REGISTERED in globalThis) loaded = { api: loadOpenTelemetry() }
  return loaded?.api
}

/** The name under which OpenTelemetry knows this instrumentation. */
export const SCOPE = 'async-gen'

/** The upper bounds of the histogram's buckets, in seconds. */
export const BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600]

function loadOpenTelemetry(): Api | undefined {
  try {
    return createRequire(import.meta.url)('@opentelemetry/api')
  } catch {
    return undefined
  }
}

/** The active trace context, to be stored with the work that is enqueued; undefined without OpenTelemetry. */
export function traceContext(): TraceContext | undefined {
  const otel = openTelemetry()
  if (!otel) return undefined
  const carrier: TraceContext = {}
  otel.propagation.inject(otel.context.active(), carrier)
  return Object.keys(carrier).length > 0 ? carrier : undefined
}

/** Runs an operation in a span that is linked to the trace that enqueued it, and records its metrics, if the host has an SDK for them. */
export async function inSpan<Result>(
  operation: Operation,
  event: OperationEvent,
  run: () => Promise<Result>,
): Promise<Result> {
  const otel = openTelemetry()
  if (!otel) return await run()
  const span = isTracing(otel) ? startSpan(otel, operation, event) : undefined
  try {
    return await (span ? otel.context.with(otel.trace.setSpan(otel.context.active(), span), run) : run())
  } finally {
    if (span?.isRecording()) describeSpan(otel, span, operation, event)
    span?.end()
    measure(otel, operation, event)
  }
}

/** Whether the host has an SDK for tracing. Without one, spans would cost time for nothing. */
function isTracing({ trace, ProxyTracerProvider }: Api): boolean {
  const provider = trace.getTracerProvider()
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(SCOPE) !== undefined
}

function startSpan(api: Api, operation: Operation, { name, enqueuedBy }: OperationEvent): OpenTelemetry.Span {
  const enqueuing = enqueuedBy && api.propagation.extract(api.ROOT_CONTEXT, enqueuedBy)
  const enqueuingSpan = enqueuing && api.trace.getSpanContext(enqueuing)
  return api.trace.getTracer(SCOPE).startSpan(`${operation} ${name}`, {
    kind: operation === 'create' ? api.SpanKind.PRODUCER : api.SpanKind.CONSUMER,
    links: enqueuingSpan ? [{ context: enqueuingSpan }] : [],
  })
}

/** The attributes of OpenTelemetry's semantic conventions for messaging: the target is the destination, the run processes a message. */
function attributesOf(
  operation: Operation,
  { type, name, calls = 1, outcome, error }: OperationEvent,
): OpenTelemetry.Attributes {
  return {
    'messaging.system': SCOPE,
    'messaging.operation.name': operation,
    'messaging.operation.type': operation === 'create' ? 'create' : 'process',
    // The name of several calls contains their number, which would make too many time series.
    ...(calls === 1 && { 'messaging.destination.name': name }),
    'async_gen.type': type,
    'async_gen.outcome': outcome!,
    ...(error && { 'error.type': error.name }),
  }
}

function describeSpan(api: Api, span: OpenTelemetry.Span, operation: Operation, event: OperationEvent) {
  const { id, calls = 1, run, error } = event
  span.setAttributes({
    ...attributesOf(operation, event),
    ...(id !== undefined && { 'messaging.message.id': id }),
    ...(calls > 1 && { 'messaging.batch.message_count': calls }),
    ...(run !== undefined && { 'async_gen.run': run }),
  })
  if (error) {
    span.recordException(error)
    span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message })
  }
}

function measure(api: Api, operation: Operation, event: OperationEvent) {
  const instruments = instrumentsOf(api)
  if (!instruments) return
  const { sent, consumed, duration } = instruments
  const attributes = attributesOf(operation, event)
  if (operation === 'create') return sent.add(event.calls ?? 1, attributes)
  consumed.add(1, attributes)
  duration.record(event.elapsed!, attributes)
}

interface Instruments {
  sent: OpenTelemetry.Counter
  consumed: OpenTelemetry.Counter
  duration: OpenTelemetry.Histogram
}

let current: { provider: unknown; instruments: Instruments | undefined } | undefined

/** Undefined without an SDK for metrics. Created again if the host installs one after the first operation. */
function instrumentsOf(api: Api): Instruments | undefined {
  const provider = api.metrics.getMeterProvider()
  if (current?.provider !== provider) {
    const meter = provider.getMeter(SCOPE)
    current = { provider, instruments: meter === api.createNoopMeter() ? undefined : makeInstruments(meter) }
  }
  return current.instruments
}

function makeInstruments(meter: OpenTelemetry.Meter): Instruments {
  return {
    sent: meter.createCounter('messaging.client.sent.messages', {
      description: 'Attempts that were recorded or failed to be recorded',
      unit: '{message}',
    }),
    consumed: meter.createCounter('messaging.client.consumed.messages', {
      description: 'Runs, refreshes, builds and jobs, by outcome',
      unit: '{message}',
    }),
    duration: meter.createHistogram('messaging.process.duration', {
      description: 'How long runs, refreshes, builds and jobs took',
      unit: 's',
      advice: { explicitBucketBoundaries: BUCKETS },
    }),
  }
}
