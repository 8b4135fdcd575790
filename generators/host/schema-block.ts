import { HostError } from './errors.js'
import { eolOf, withEol } from './files.js'

const BEGIN =
  '// async-gen:begin (models of the async-gen generators: yours to edit, but keep the lines that begin with "// async-gen:")'
const END = '// async-gen:end'
const sectionLine = (name: string) => `// async-gen:section ${name}`

/**
 * If the schema is one file, the generators add one block at its end, with a section for each fragment. These functions read
 * and change that block. Every byte outside of the written section stays as it is.
 */
export function readSection(schema: string, name: string): string | null {
  const section = sectionsOf(schema).find((candidate) => candidate.name === name)
  return section ? withEol(schema.slice(section.start, section.end), '\n').trim() : null
}

/** Adds or replaces a section. */
export function writeSection(schema: string, name: string, text: string): string {
  const eol = eolOf(schema)
  const lines = (...parts: string[]) => withEol(parts.join('\n'), eol)
  const body = text.trim()

  const section = sectionsOf(schema).find((candidate) => candidate.name === name)
  if (section) return schema.slice(0, section.start) + lines('', '', body, '', '') + schema.slice(section.end)

  const end = markersOf(schema).find((marker) => marker.what === 'end')
  if (end) return schema.slice(0, end.start) + lines(sectionLine(name), '', body, '', '') + schema.slice(end.start)

  // Always one line end, also if the last line has none. `removeSection` removes exactly one.
  const gap = schema === '' ? '' : eol
  return schema + gap + lines(BEGIN, '', sectionLine(name), '', body, '', END, '')
}

/** Removes a section, and the block after its last section. */
export function removeSection(schema: string, name: string): string {
  const sections = sectionsOf(schema)
  const section = sections.find((candidate) => candidate.name === name)
  if (!section) return schema
  const before = schema.slice(0, section.markerStart)
  const [begin, end] = [markersOf(schema)[0]!, markersOf(schema).at(-1)!]
  const theirs = schema.slice(begin.after, section.markerStart).trim() !== ''
  if (sections.length > 1 || theirs) return before + schema.slice(section.end)

  const head = schema.slice(0, begin.start).replace(/\r?\n$/, '')
  return head + schema.slice(end.after).replace(/^\r?\n/, '')
}

interface Section {
  name: string
  /** Where the line of its marker starts; `start` and `end` enclose its text. */
  markerStart: number
  start: number
  end: number
}

function sectionsOf(schema: string): Section[] {
  const markers = markersOf(schema)
  return markers.flatMap(({ what, name, start, after }, i) =>
    what === 'section' ? [{ name: name!, markerStart: start, start: after, end: markers[i + 1]!.start }] : [],
  )
}

interface Marker {
  what: string
  name: string | undefined
  start: number
  after: number
}

function markersOf(schema: string): Marker[] {
  const markers = [...schema.matchAll(/^\/\/ async-gen:(begin|section|end)\b[ \t]*(\S+)?[^\r\n]*/gm)].map((match) => ({
    what: match[1]!,
    name: match[2],
    start: match.index,
    after: match.index + match[0].length,
  }))
  const order = markers.map((marker) => marker.what).join(' ')
  if (order !== '' && !/^begin( section)* end$/.test(order)) {
    throw new HostError({
      code: 'SCHEMA_BLOCK_BROKEN',
      message: `The lines that begin with "// async-gen:" in the Prisma schema are out of order: ${order}.`,
      remedy: 'Restore these lines from version control: one begin, then the sections, then one end.',
    })
  }
  return markers
}
