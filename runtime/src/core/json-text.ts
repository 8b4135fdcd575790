/**
 * JSON of plain data and of values of Prisma: a bigint is text, bytes are base64. JSON.stringify fails for data that is nested
 * thousands of times, which a row may hold.
 */
export function toJson(value: unknown): string {
  try {
    return JSON.stringify(value, withTypes) ?? 'null'
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return deepJson(value)
  }
}

function withTypes(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value
}

/** Without recursion: a stack of texts to print and values to open. */
function deepJson(root: unknown): string {
  const parts: string[] = []
  const stack: Piece[] = [{ value: root }]
  for (let next = stack.pop(); next; next = stack.pop()) {
    if ('text' in next) parts.push(next.text)
    else {
      const value = plainOf(next.value)
      if (typeof value !== 'object' || value === null) parts.push(JSON.stringify(value) ?? 'null')
      else for (const piece of pieces(value).reverse()) stack.push(piece)
    }
  }
  return parts.join('')
}

type Piece = { text: string } | { value: unknown }

function pieces(value: object): Piece[] {
  if (Array.isArray(value))
    return [{ text: '[' }, ...value.flatMap((each, i) => [{ text: i > 0 ? ',' : '' }, { value: each }]), { text: ']' }]
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  const inner = entries.flatMap(([key, each], i) => [
    { text: `${i > 0 ? ',' : ''}${JSON.stringify(key)}:` },
    { value: each },
  ])
  return [{ text: '{' }, ...inner, { text: '}' }]
}

function plainOf(value: unknown): unknown {
  const { toJSON } = Object(value)
  return withTypes('', typeof toJSON === 'function' ? toJSON.call(value) : value)
}
