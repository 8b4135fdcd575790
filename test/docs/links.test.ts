import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { REPOSITORY } from '../support/host.js'
import { pages } from './blocks.js'

it('each link between the pages leads to a file or a folder, and to a heading that is there', () => {
  const broken = pages().flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)/g)].flatMap(([link, path, heading]) => {
      const target = path === '' ? page : join(dirname(page), path!)
      const leads = existsSync(join(REPOSITORY, target)) && (!heading || headingsOf(target).includes(heading))
      return leads ? [] : [`${page}: ${link}`]
    }),
  )
  expect(broken).toEqual([])
})

/** As GitHub names the headings of a page. */
function headingsOf(page: string): string[] {
  const headings = [...read(page).matchAll(/^#+ (.+)$/gm)]
  return headings.map(([, text]) =>
    text!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

function read(page: string): string {
  return readFileSync(join(REPOSITORY, page), 'utf8')
}
