import { createRequire } from 'node:module'
import type * as OpenTelemetry from '@opentelemetry/api'
import type { Deed, Telling, TraceContext } from './telemetry.js'

type Api = typeof OpenTelemetry

/** OpenTelemetry's API, an optional peer: a host that has it need not tell us, and one that has not pays nothing. */
export const otel = loadOpenTelemetry()

/** The name under which OpenTelemetry knows this instrumentation. */
export const SCOPE = 'async-gen'

/** Upper bounds of what durations are counted in, in seconds. */
export const BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600]

function loadOpenTelemetry(): Api | undefined {
  try {
    return createRequire(import.meta.url)('@opentelemetry/api')
  } catch {
    return undefined
  }
}

/** The trace that is going on here, to be kept with what it asks for; nothing without OpenTelemetry. */
export function traceContext(): TraceContext | undefined {
  if (!otel) return undefined
  const carrier: TraceContext = {}
  otel.propagation.inject(otel.context.active(), carrier)
  return Object.keys(carrier).length > 0 ? carrier : undefined
}

/** Does something in a span that is linked to the trace that asked for it, and measures it: as far as there is an SDK. */
export async function inSpan<Result>(deed: Deed, telling: Telling, act: () => Promise<Result>): Promise<Result> {
  if (!otel) return await act()
  const span = isTracing(otel) ? startSpan(otel, deed, telling) : undefined
  try {
    return await (span ? otel.context.with(otel.trace.setSpan(otel.context.active(), span), act) : act())
  } finally {
    if (span?.isRecording()) describeSpan(otel, span, deed, telling)
    span?.end()
    measure(otel, deed, telling)
  }
}

/** Whether there is an SDK for tracing. Without one, spans are spans in name only, but they cost something. */
function isTracing({ trace, ProxyTracerProvider }: Api): boolean {
  const provider = trace.getTracerProvider()
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(SCOPE) !== undefined
}

function startSpan(api: Api, deed: Deed, { name, askedBy }: Telling): OpenTelemetry.Span {
  const asking = askedBy && api.propagation.extract(api.ROOT_CONTEXT, askedBy)
  const asked = asking && api.trace.getSpanContext(asking)
  return api.trace.getTracer(SCOPE).startSpan(`${deed} ${name}`, {
    kind: deed === 'create' ? api.SpanKind.PRODUCER : api.SpanKind.CONSUMER,
    links: asked ? [{ context: asked }] : [],
  })
}

/** As the semantic conventions of messaging call it: what is called is a destination, and who calls it processes messages. */
function attributesOf(deed: Deed, { type, name, calls = 1, outcome, error }: Telling): OpenTelemetry.Attributes {
  return {
    'messaging.system': SCOPE,
    'messaging.operation.name': deed,
    'messaging.operation.type': deed === 'create' ? 'create' : 'process',
    // Of many at once, the name is a number, and there are many numbers.
    ...(calls === 1 && { 'messaging.destination.name': name }),
    'async_gen.type': type,
    'async_gen.outcome': outcome!,
    ...(error && { 'error.type': error.name }),
  }
}

function describeSpan(api: Api, span: OpenTelemetry.Span, deed: Deed, telling: Telling) {
  const { id, calls = 1, run, error } = telling
  span.setAttributes({
    ...attributesOf(deed, telling),
    ...(id !== undefined && { 'messaging.message.id': id }),
    ...(calls > 1 && { 'messaging.batch.message_count': calls }),
    ...(run !== undefined && { 'async_gen.run': run }),
  })
  if (error) {
    span.recordException(error)
    span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message })
  }
}

function measure(api: Api, deed: Deed, telling: Telling) {
  const instruments = instrumentsOf(api)
  if (!instruments) return
  const { sent, consumed, duration } = instruments
  const attributes = attributesOf(deed, telling)
  if (deed === 'create') return sent.add(telling.calls ?? 1, attributes)
  consumed.add(1, attributes)
  duration.record(telling.elapsed!, attributes)
}

interface Instruments {
  sent: OpenTelemetry.Counter
  consumed: OpenTelemetry.Counter
  duration: OpenTelemetry.Histogram
}

let current: { provider: unknown; instruments: Instruments | undefined } | undefined

/** Made anew when the host sets up its metrics after us; none without an SDK for metrics. */
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
      description: 'Attempts that were recorded, or could not be',
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
