import type { Part, Span } from '../queries/overview.js'
import { countText, durationText, plural } from './text.js'

const WIDTH = 600
const HEIGHT = 120

interface ChartProps {
  span: Span
  parts: readonly Part[]
}

/** How many attempts ended in each part of a span of time: bars of successes, with failures on top. */
export function ThroughputChart({ span, parts }: ChartProps) {
  const highest = Math.max(1, ...parts.map(({ succeeded, failed }) => succeeded + failed))
  const [succeeded, failed] = [sum(parts, 'succeeded'), sum(parts, 'failed')]
  const isEstimate = parts.some((part) => part.isEstimate)
  const width = WIDTH / parts.length
  const about = isEstimate ? 'About ' : ''
  const summary = `${about}${plural(succeeded, 'success', 'successes')} and ${plural(failed, 'failure')}`
  return (
    <figure class="chart">
      <figcaption>
        <strong>{span.label}</strong>
        <span>{summary}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${span.label}: ${summary}. At most ${countText(highest)} in ${durationText(span.seconds * 1000)}.`}
      >
        {parts.map((part, i) => {
          const [good, bad] = [(part.succeeded / highest) * HEIGHT, (part.failed / highest) * HEIGHT]
          const x = i * width + width * 0.12
          return (
            <g>
              <title>{titleOf(part, span, parts.length - i)}</title>
              <rect class="slot" x={i * width} y={0} width={width} height={HEIGHT} />
              {good > 0 && (
                <rect
                  class="good"
                  x={x}
                  y={HEIGHT - Math.max(good, 1.5)}
                  width={width * 0.76}
                  height={Math.max(good, 1.5)}
                />
              )}
              {bad > 0 && (
                <rect
                  class="bad"
                  x={x}
                  y={HEIGHT - good - Math.max(bad, 1.5)}
                  width={width * 0.76}
                  height={Math.max(bad, 1.5)}
                />
              )}
            </g>
          )
        })}
      </svg>
      <Axis span={span} parts={parts.length} highest={`${isEstimate ? 'about ' : ''}${countText(highest)}`} />
    </figure>
  )
}

/** How long runs took: the median, and the time that 95 of 100 runs do not exceed. */
export function RunTimeChart({ span, parts }: ChartProps) {
  const highest = Math.max(0.001, ...parts.map(({ slow }) => slow ?? 0))
  const measured = parts.filter(({ median }) => median !== null)
  const width = WIDTH / parts.length
  const y = (seconds: number) => HEIGHT - 4 - (seconds / highest) * (HEIGHT - 8)
  const typical =
    measured.length === 0
      ? 'nothing ended'
      : `a median of ${durationText(middle(measured.map(({ median }) => median!)) * 1000)}`
  return (
    <figure class="chart">
      <figcaption>
        <strong>Run time</strong>
        <span>{typical}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Run time, ${span.label.toLowerCase()}: ${typical}. At most ${durationText(highest * 1000)} for 95 of 100 runs.`}
      >
        {parts.map(({ median, slow }, i) =>
          median === null || slow === null ? null : (
            <g>
              <title>{`${ago(span, parts.length - i)}: median ${durationText(median * 1000)}, 95 of 100 within ${durationText(slow * 1000)}`}</title>
              <rect class="slot" x={i * width} y={0} width={width} height={HEIGHT} />
              <rect
                class="range"
                x={i * width + width * 0.2}
                y={y(slow)}
                width={width * 0.6}
                height={Math.max(2, y(median) - y(slow))}
              />
              <rect class="median" x={i * width + width * 0.12} y={y(median) - 1.5} width={width * 0.76} height={3} />
            </g>
          ),
        )}
      </svg>
      <Axis span={span} parts={parts.length} highest={durationText(highest * 1000)} />
    </figure>
  )
}

function Axis({ span, parts, highest }: { span: Span; parts: number; highest: string }) {
  return (
    <p class="axis" aria-hidden="true">
      <span>{`${durationText(span.seconds * parts * 1000)} ago`}</span>
      <span class="top">{`top: ${highest}`}</span>
      <span>now</span>
    </p>
  )
}

function titleOf(part: Part, span: Span, left: number): string {
  const about = part.isEstimate ? 'about ' : ''
  return `${ago(span, left)}: ${about}${plural(part.succeeded, 'success', 'successes')}, ${plural(part.failed, 'failure')}`
}

function ago({ seconds }: Span, left: number): string {
  return `${durationText(left * seconds * 1000)} ago`
}

function sum(parts: readonly Part[], key: 'succeeded' | 'failed'): number {
  return parts.reduce((total, part) => total + part[key], 0)
}

function middle(values: number[]): number {
  return values.sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0
}
