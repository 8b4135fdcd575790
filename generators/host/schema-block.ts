import { HostError } from './errors.js'
import { eolOf, withEol } from './files.js'

const BEGIN =
  '// async-gen:begin (models of the async-gen generators: yours to edit, but keep the lines that begin with "// async-gen:")'
const END = '// async-gen:end'
const sectionLine = (name: string) => `// async-gen:section ${name}`

/**
 * In a host whose schema is one file, what the generators add stands in one block at its end, a section each. These
 * functions read and extend that block; every byte outside the section that is written stays as it is.
 */
export function readSection(schema: string, name: string): string | null {
  const section = sectionsOf(schema).find((candidate) => candidate.name === name)
  return section ? withEol(schema.slice(section.start, section.end), '\n').trim() : null
}

/** The schema with the section put in, or replaced. */
export function writeSection(schema: string, name: string, text: string): string {
  const eol = eolOf(schema)
  const lines = (...parts: string[]) => withEol(parts.join('\n'), eol)
  const body = text.trim()

  const section = sectionsOf(schema).find((candidate) => candidate.name === name)
  if (section) return schema.slice(0, section.start) + lines('', '', body, '', '') + schema.slice(section.end)

  const end = markersOf(schema).find((marker) => marker.what === 'end')
  if (end) return schema.slice(0, end.start) + lines(sectionLine(name), '', body, '', '') + schema.slice(end.start)

  // One line end in any case: an empty line, or the end of a last line that has none. `removeSection` takes it back.
  const gap = schema === '' ? '' : eol
  return schema + gap + lines(BEGIN, '', sectionLine(name), '', body, '', END, '')
}

/** The schema without the section, and without the block when that was its last. */
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
  /** Where its marker begins, and where its text does. */
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
      remedy: 'Put them back: one begin, then the sections, then one end. Your version control has them.',
    })
  }
  return markers
}
