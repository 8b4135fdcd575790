import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { REPOSITORY } from '../support/host.js'
import { anchorsOf, links } from './links.js'

describe('the links between the README and the guides', () => {
  it('are found', () => {
    expect(links().length).toBeGreaterThan(40)
  })

  it('lead to pages that exist', () => {
    expect(links().filter(({ page }) => !existsSync(join(REPOSITORY, page)))).toEqual([])
  })

  it('lead to headings that exist', () => {
    const withAnchor = links().filter(({ anchor, page }) => anchor !== undefined && existsSync(join(REPOSITORY, page)))
    expect(withAnchor.filter(({ anchor, page }) => !anchorsOf(page).includes(anchor!))).toEqual([])
  })
})
