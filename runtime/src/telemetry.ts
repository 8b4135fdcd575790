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

/** An optional peer: a host that has it need not tell us, and one that has not pays nothing. */
const otel = loadOpenTelemetry()

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
  const span = api.trace.getTracer('async-gen').startSpan(`${deed} ${telling.name}`, {
    kind: deed === 'create' ? api.SpanKind.PRODUCER : api.SpanKind.CONSUMER,
    links: asked ? [{ context: asked }] : [],
  })
  try {
    return await api.context.with(api.trace.setSpan(api.context.active(), span), () => timed(telling, act))
  } finally {
    if (span.isRecording()) describeSpan(api, span, telling)
    span.end()
    if (deed !== 'create') measure(api, deed, telling)
  }
}

function describeSpan(api: Api, span: OpenTelemetry.Span, { type, id, name, run, outcome, error }: Telling) {
  span.setAttributes({
    'messaging.system': 'async-gen',
    'messaging.destination.name': type,
    'messaging.operation.name': name,
    ...(id !== undefined && { 'messaging.message.id': id }),
    ...(run !== undefined && { 'async_gen.run': run }),
    'async_gen.outcome': outcome!,
  })
  if (error) {
    span.recordException(error)
    span.setStatus({ code: api.SpanStatusCode.ERROR, message: error.message })
  }
}

function measure(api: Api, deed: Deed, { type, name, outcome, elapsed }: Telling) {
  durations(api).record(elapsed!, { deed, type, name, outcome: outcome! })
}

let instrument: { provider: unknown; histogram: OpenTelemetry.Histogram } | undefined

/** Made anew when the host sets up its metrics after us: what was made before stays without effect. Its count is that of the runs. */
function durations(api: Api): OpenTelemetry.Histogram {
  const provider = api.metrics.getMeterProvider()
  if (instrument?.provider !== provider) {
    const histogram = api.metrics.getMeter('async-gen').createHistogram('async_gen.duration', {
      description: 'How long runs, refreshes, builds and jobs took',
      unit: 's',
    })
    instrument = { provider, histogram }
  }
  return instrument.histogram
}
