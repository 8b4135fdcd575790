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

/** The README, the guides and the pages for contributors: a new page is found by itself. */
export function pages(): string[] {
  const docs = readdirSync(join(REPOSITORY, 'docs'), { recursive: true, encoding: 'utf8' })
  const guides = docs.filter((file) => file.endsWith('.md')).map((file) => `docs/${file.replaceAll('\\', '/')}`)
  return ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...guides]
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
