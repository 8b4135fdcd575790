import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import type * as OpenTelemetry from '@opentelemetry/api'
import { secondsSince } from './duration.js'
import { describeError, type ErrorRecord } from './errors.js'

/** What the runtime does: records an attempt, makes its call, refreshes a toast, builds a report, runs a job of the host's own. */
export type Deed = 'create' | 'run' | 'refresh' | 'build' | 'job'

/**
 * What became of it. `retried` failed and is tried again later, `failed` failed for good, `overtaken` was taken away meanwhile (cancelled,
 * or finished by somebody else) and changed nothing.
 */
export type Outcome = 'succeeded' | 'retried' | 'failed' | 'overtaken'

/**
 * What a diagnostics channel tells of a deed: `tracing:async-gen:run:start` and the like, as `tracingChannel('async-gen:run')`
 * of `node:diagnostics_channel` names them. The last three are there at the end.
 */
export interface Telling {
  /** What it was done to: the class of an attempt or report, `Toast`, or the name of a task. */
  type: string
  /** The attempt's id, the toast's key or the job's id, where it has one already. */
  id?: string | undefined
  /** What was called or computed: `OrderClient.fulfill`, `oat.breakfast`. */
  name: string
  /** How many calls were recorded at once. */
  calls?: number
  /** Which run it is, from 1. */
  run?: number
  /** The trace that asked for it, as `traceContext` wrote it down. */
  askedBy?: TraceContext | null
  outcome?: Outcome
  error?: ErrorRecord
  /** Seconds. */
  elapsed?: number
}

/** A trace context as OpenTelemetry's propagators write it: by default `{ traceparent }`. */
export type TraceContext = Record<string, string>

export const channels: Record<Deed, TracingChannel<Telling>> = {
  create: tracingChannel('async-gen:create'),
  run: tracingChannel('async-gen:run'),
  refresh: tracingChannel('async-gen:refresh'),
  build: tracingChannel('async-gen:build'),
  job: tracingChannel('async-gen:job'),
}

/** Does something, and tells who listens: subscribers of its channel and OpenTelemetry, where the host uses it. */
export async function tell<Result>(deed: Deed, telling: Telling, act: () => Promise<Result>): Promise<Result> {
  const { start, asyncEnd, error } = channels[deed]
  const acted = () => (otel ? inSpan(otel, deed, telling, act) : timed(telling, act))
  const listened = start.hasSubscribers || asyncEnd.hasSubscribers || error.hasSubscribers
  return await (listened ? traced(channels[deed], telling, acted) : acted())
}

/** What `tracePromise` does, but that it does not hand out what was returned: that may be large, or nobody's business. */
function traced<Result>(channel: TracingChannel<Telling>, telling: Telling, act: () => Promise<Result>) {
  return channel.start.runStores(telling, async () => {
    try {
      return await act()
    } catch (error) {
      channel.error.publish(telling)
      throw error
    } finally {
      channel.asyncEnd.publish(telling)
    }
  })
}

const tellers = new WeakSet<object>()

/** Marks a task that tells what it does, so that the worker does not tell of its job as well. */
export function tellsItself<Task extends object>(task: Task): Task {
  tellers.add(task)
  return task
}

export function doesTellItself(task: object): boolean {
  return tellers.has(task)
}

/** The trace that is going on here, to be kept with what it asks for; nothing without OpenTelemetry. */
export function traceContext(): TraceContext | undefined {
  if (!otel) return undefined
  const carrier: TraceContext = {}
  otel.propagation.inject(otel.context.active(), carrier)
  return Object.keys(carrier).length > 0 ? carrier : undefined
}

async function timed<Result>(telling: Telling, act: () => Promise<Result>): Promise<Result> {
  const started = performance.now()
  try {
    const result = await act()
    telling.outcome ??= 'succeeded'
    return result
  } catch (error) {
    telling.outcome ??= 'failed'
    telling.error = describeError(error)
    throw error
  } finally {
    telling.elapsed = secondsSince(started)
  }
}

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

async function inSpan<Result>(api: Api, deed: Deed, telling: Telling, act: () => Promise<Result>): Promise<Result> {
  const asking = telling.askedBy && api.propagation.extract(api.ROOT_CONTEXT, telling.askedBy)
  const asked = asking && api.trace.getSpanContext(asking)
  const span = api.trace.getTracer(SCOPE).startSpan(`${deed} ${telling.name}`, {
    kind: deed === 'create' ? api.SpanKind.PRODUCER : api.SpanKind.CONSUMER,
    links: asked ? [{ context: asked }] : [],
  })
  try {
    return await api.context.with(api.trace.setSpan(api.context.active(), span), () => timed(telling, act))
  } finally {
    if (span.isRecording()) describeSpan(api, span, deed, telling)
    span.end()
    measure(api, deed, telling)
  }
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
  const { sent, consumed, duration } = instrumentsOf(api)
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

let current: { provider: unknown; instruments: Instruments } | undefined

/** Made anew when the host sets up its metrics after us: what was made before stays without effect. */
function instrumentsOf(api: Api): Instruments {
  const provider = api.metrics.getMeterProvider()
  if (current?.provider !== provider) current = { provider, instruments: makeInstruments(api.metrics.getMeter(SCOPE)) }
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
