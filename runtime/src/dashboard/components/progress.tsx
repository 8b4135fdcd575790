import { printable } from '../../core/printable.js'

/** How far something is, from 0 to 1. A row that was written by hand may hold any number. */
export function Progress({ value, label }: { value: number; label: string }) {
  return <progress value={fraction(value)} max={1} aria-label={label} />
}

/** The same with the percentage and the text beside it, for the top of a page. */
export function ProgressLine({ value, message, label }: { value: number; message: string | null; label: string }) {
  return (
    <p class="progress">
      <Progress value={value} label={label} />
      <span>{`${Math.round(fraction(value) * 100)} %`}</span>
      {message && <bdi>{printable(message, 500)}</bdi>}
    </p>
  )
}

function fraction(value: number): number {
  return Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : 0
}
