/** A line of printed output that stands for any number of lines. */
const ELLIPSIS = '…'

/**
 * The pattern of an output that a guide shows. `…` stands for any text, and for any number of lines where it is a line of its own.
 * Times, durations, process ids, host names and versions are whatever they are. All else has to be printed as it stands.
 */
export function outputPattern(expected: string): RegExp {
  const lines = expected
    .split('\n')
    .map((line) => (line.trim() === ELLIPSIS ? '(?:[^\\n]*\\n)*?' : `${linePattern(line)} *\\n`))
  return new RegExp(lines.join(''))
}

/** Output as it is compared: without what a terminal adds, and without blank lines at both ends. */
export function comparable(output: string): string {
  return `${output.replace(CONTROL, '').replaceAll('\r', '').trim()}\n`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that a terminal adds
const CONTROL = /\u001b(?:\[[\d;?]*[A-Za-z]|[78])|[\u0000\u0008]/g

const CHANGING: [shown: RegExp, pattern: string][] = [
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/, '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z'],
  [/\d{14}(?=_)/, '\\d{14}'],
  [/(?<=Client \()[\d.]+/, '[\\d.]+'],
  [/(?<=\bon )\w+, process \d+/, '\\S+, process \\d+'],
  [/(?<=elapsed: )[\d.]+/, '[\\d.e-]+'],
  [/\d+ ?ms/, '[\\d.]+ ?m?s'],
  [/…/, '.*'],
]

function linePattern(line: string) {
  const shown = new RegExp(CHANGING.map(([{ source }]) => `(${source})`).join('|'), 'g')
  let pattern = ''
  let end = 0
  for (const match of line.matchAll(shown)) {
    const which = match.slice(1).findIndex((group) => group !== undefined)
    pattern += quoted(line.slice(end, match.index)) + CHANGING[which]![1]
    end = match.index + match[0].length
  }
  return pattern + quoted(line.slice(end))
}

function quoted(text: string) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
