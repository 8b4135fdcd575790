import { transform } from 'esbuild'
import { parseCrontab } from 'graphile-worker'
import { describe, expect, it } from 'vitest'
import { codeBlocks } from './blocks.js'

const blocks = (language: string) => codeBlocks().filter((block) => block.language === language)

describe('the code blocks of the README and the guides', () => {
  it.each(blocks('ts'))('$at is TypeScript without syntax errors', async ({ at, text }) => {
    const options = { loader: 'ts', sourcefile: at, logLevel: 'silent' } as const
    await expect(transform(text, options), `Write the block at ${at} so that it parses`).resolves.toBeDefined()
  })

  it.each(blocks('crontab'))('$at is a crontab that Graphile Worker accepts', ({ text }) => {
    expect(parseCrontab(text).length).toBeGreaterThan(0)
  })
})
