import type { ComponentChildren } from 'preact'
import { printable } from '../../core/printable.js'
import { timeText } from '../../core/time-text.js'
import { durationText } from './text.js'

/** A status, in words and with a colour. */
export function Status({ name, isPaused = false }: { name: string; isPaused?: boolean }) {
  return (
    <>
      <span class={`status ${name.replaceAll(' ', '-')}`}>{name}</span>
      {isPaused && <span class="status paused">paused</span>}
    </>
  )
}

/** Times before and after these years stand for infinity, or were written by hand. */
const FIRST_YEAR = 1000
const LAST_YEAR = 9000

/** A time, as the time since then or until then. The exact time is its title. */
export function Time({ at, now = Date.now() }: { at: Date; now?: number }) {
  const year = at.getUTCFullYear()
  if (Number.isNaN(year) || year < FIRST_YEAR || year > LAST_YEAR)
    return <span>{at < new Date(0) ? 'long ago' : 'never'}</span>
  const elapsed = now - at.getTime()
  const text =
    Math.abs(elapsed) < 1000
      ? 'now'
      : elapsed > 0
        ? `${durationText(roughly(elapsed, Math.floor))} ago`
        : `in ${durationText(roughly(-elapsed, Math.round))}`
  return (
    <time dateTime={at.toISOString()} title={timeText(at)}>
      {text}
    </time>
  )
}

/** Without the smaller unit, which changes each second. */
function roughly(milliseconds: number, round: (units: number) => number): number {
  const unit = [86_400_000, 3_600_000, 60_000, 1000].find((each) => milliseconds >= each) ?? 1
  return round(milliseconds / unit) * unit
}

/** A name or another short text from a row, on one line. It may break after a dot. */
export function Name({ text, length = 200 }: { text: string; length?: number }) {
  const parts = printable(text, length).split(/(?<=\.)(?=\w)/)
  return (
    <bdi class="name">
      {parts.map((part, i) => (
        <>
          {i > 0 && <wbr />}
          {part}
        </>
      ))}
    </bdi>
  )
}

/** The name of a call: the target, and the method. */
export function Call({ target, method }: { target: string; method: string }) {
  return (
    <bdi class="name">
      {printable(target, 100)}.<wbr />
      {printable(method, 100)}
    </bdi>
  )
}

/** A table that scrolls by itself if it is wider than the screen. */
export function Table({
  label,
  head,
  children,
}: {
  label: string
  head: ComponentChildren
  children: ComponentChildren
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section class="table" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>{head}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  )
}

/** The head of the column of boxes. The script adds a box for all rows. */
export function ChooseHead() {
  return (
    <th class="choose" scope="col">
      <span class="hidden">Choose</span>
    </th>
  )
}

/** The box that chooses a row. */
export function Choose({ id, label }: { id: string; label: string }) {
  return (
    <td class="choose">
      <input type="checkbox" name="id" value={id} aria-label={label} />
    </td>
  )
}

/** What a page says where there is nothing to list. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}

/** A part of a page that the script renews, unless it costs too much to read it again and again. */
export function Live({ id, isOn = true, children }: { id: string; isOn?: boolean; children: ComponentChildren }) {
  return (
    <div id={id} {...(isOn && { 'data-live': true })}>
      {children}
    </div>
  )
}
