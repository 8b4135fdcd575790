/** The deepest indentation. Deeper values stay on the line of their parent. */
const MAX_DEPTH = 12

/** The longest list or object that stays on one line, in characters. */
const ONE_LINE = 60

/**
 * JSON with line breaks and indentation. It works on the text, so that a text that was cut can be shown, and any depth.
 */
export function jsonLines(json: string): string {
  const parts: string[] = []
  let depth = 0
  let flatUntil = -1
  const breakLine = () => parts.push('\n', '  '.repeat(depth))
  for (let i = 0; i < json.length; i++) {
    const character = json[i]!
    if (character === '"') {
      const end = endOfString(json, i)
      parts.push(json.slice(i, end))
      i = end - 1
    } else if (character === '{' || character === '[') {
      parts.push(character)
      if (i < flatUntil) continue
      const end = endOfShort(json, i)
      if (end !== undefined || depth >= MAX_DEPTH) flatUntil = end ?? Number.POSITIVE_INFINITY
      if (i < flatUntil) continue
      depth++
      breakLine()
    } else if (character === '}' || character === ']') {
      if (i >= flatUntil && depth > 0) {
        depth--
        breakLine()
      }
      parts.push(character)
    } else if (character === ',' && i >= flatUntil) {
      parts.push(',')
      breakLine()
      while (json[i + 1] === ' ') i++
    } else parts.push(character)
  }
  return parts.join('')
}

/** Where the string ends that begins at a quotation mark. */
function endOfString(json: string, start: number): number {
  for (let i = start + 1; i < json.length; i++) {
    if (json[i] === '\\') i++
    else if (json[i] === '"') return i + 1
  }
  return json.length
}

/** After the closing bracket of a value that fits on a line; undefined for a longer one. */
function endOfShort(json: string, start: number): number | undefined {
  let depth = 0
  for (let i = start; i < json.length && i < start + ONE_LINE; i++) {
    const character = json[i]!
    if (character === '"') i = endOfString(json, i) - 1
    else if (character === '{' || character === '[') depth++
    else if ((character === '}' || character === ']') && --depth === 0) return i + 1
  }
  return undefined
}
