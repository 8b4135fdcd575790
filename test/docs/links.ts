import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import { REPOSITORY } from '../support/host.js'
import { pages } from './blocks.js'

export interface Link {
  /** Where it stands: `docs/start.md:12`. */
  at: string
  /** The page that it leads to, as a path in the repository. */
  page: string
  /** The heading on that page, as GitHub writes it: `what-to-watch`. */
  anchor: string | undefined
}

/** The links of the Markdown pages to pages of this repository. */
export function links(): Link[] {
  return linkedPages().flatMap((page) =>
    linesOf(page).flatMap((line, index) =>
      [...line.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].map(([, path, anchor]) => ({
        at: `${page}:${index + 1}`,
        page: path ? normalize(join(dirname(page), path)) : page,
        anchor,
      })),
    ),
  )
}

/** The anchors of a page: those of its headings, and those that it sets with `<a id="…">`. */
export function anchorsOf(page: string): string[] {
  const text = linesOf(page)
    .join('\n')
    .replace(/^```.*?^```$/gms, '')
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!))
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!)]
}

function linkedPages(): string[] {
  return [...pages(), 'CHANGELOG.md']
}

function linesOf(page: string): string[] {
  return readFileSync(join(REPOSITORY, page), 'utf8').split('\n')
}

/** `At 3 a.m.` becomes `at-3-am`. */
function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}
