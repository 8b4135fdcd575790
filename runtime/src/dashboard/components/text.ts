import { printable } from '../../core/printable.js'

/** A text of several lines, with what could change the direction or the look of the page escaped. */
export function printableLines(text: string, length = Number.POSITIVE_INFINITY): string {
  const cut = text.length > length ? `${text.slice(0, length - 1)}…` : text
  return cut
    .split(/\r?\n/)
    .map((line) => printable(line.replaceAll('\t', '  ')))
    .join('\n')
}

/** `1,234`, `10,000+`, `about 1.2 million`. */
export function countText(count: number): string {
  return count.toLocaleString('en')
}

/** How many of a thing: `1 attempt`, `1,234 attempts`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`
}

/** A length of time in its two largest units: `3 d 4 h`, `12 min 5 s`, `1.25 s`, `120 ms`. */
export function durationText(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return 'for ever'
  const ms = Math.max(0, milliseconds)
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${Number((ms / 1000).toPrecision(3))} s`
  const parts: [number, string][] = [
    [Math.floor(ms / 86_400_000), 'd'],
    [Math.floor(ms / 3_600_000) % 24, 'h'],
    [Math.floor(ms / 60_000) % 60, 'min'],
    [Math.floor(ms / 1000) % 60, 's'],
  ]
  const first = parts.findIndex(([value]) => value > 0)
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${countText(value)} ${unit}`)
    .join(' ')
}

/** A size: `12 bytes`, `1.5 kB`, `8.0 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}
