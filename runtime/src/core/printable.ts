/**
 * A text from the database on one line of a terminal or a log: control characters, line breaks and marks that change the direction of
 * writing are escaped, as `\n` or `\u{1b}`.
 *
 * @param length the longest result, in characters. Longer texts are cut.
 */
export function printable(text: string, length = Number.POSITIVE_INFINITY): string {
  const cut = text.length > length ? `${text.slice(0, length - 1)}…` : text
  return cut.toWellFormed().replace(UNSAFE, (character) => ESCAPES[character] ?? codeOf(character))
}

/** All control and format characters but the two joiners, which emoji and some languages need. */
const UNSAFE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function codeOf(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`
}
