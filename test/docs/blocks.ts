import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from '../support/host.js'

export interface Block {
  /** Where its first line of text stands: `docs/attempts.md:19`. */
  at: string
  language: string
  text: string
  /** Whether a comment before it says why it is not compiled: `<!-- not compiled: … -->`. */
  exempt: boolean
}

/** The README and the guides: a new page is found by itself. */
export function pages(): string[] {
  const guides = readdirSync(join(REPOSITORY, 'docs')).filter((file) => file.endsWith('.md'))
  return ['README.md', ...guides.map((file) => `docs/${file}`)]
}

/** Their code blocks. */
export function codeBlocks(): Block[] {
  return pages().flatMap((file) => {
    const text = readFileSync(join(REPOSITORY, file), 'utf8')
    return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((match) => ({
      at: `${file}:${text.slice(0, match.index).split('\n').length + 1}`,
      language: match[1]!,
      text: match[2]!,
      exempt: /<!-- not compiled: [^\n]+ -->\n\n$/.test(text.slice(0, match.index)),
    }))
  })
}
