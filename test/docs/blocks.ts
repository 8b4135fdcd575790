import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY } from '../support/host.js'

export interface Block {
  page: string
  /** Where its first line of text stands: `docs/attempts.md:19`. */
  at: string
  language: string
  text: string
  /** Whether a comment before it says why it is not compiled: `<!-- not compiled: … -->`. */
  exempt: boolean
  /** Whether a comment says why it is not run: `<!-- not run: … -->`. */
  notRun: boolean
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
    return [...text.matchAll(/^( *)```(\w+)\n(.*?)^\1```$/gms)].map((match) => {
      const before = text.slice(0, match.index)
      return {
        page: file,
        at: `${file}:${before.split('\n').length + 1}`,
        language: match[2] === 'typescript' ? 'ts' : match[2]!,
        // Those of a list are indented.
        text: match[3]!.replaceAll(new RegExp(`^${match[1]}`, 'gm'), ''),
        notRun: /<!-- not run: [^\n]+ -->\n\n$/.test(before),
        exempt: /<!-- not compiled: [^\n]+ -->\n\n$/.test(before),
      }
    })
  })
}
