import { expect, it, vi } from 'vitest'
import { sampleHost } from './sample-host.js'

vi.mock('../../generators/host/own-package.js', () => ({ version: '0.1.0', templates: '/no/such/folder' }))

it('a template that cannot be rendered fails the run, and the host is as it was', async () => {
  const host = sampleHost()
  const before = host.hash()
  await expect(host.run('install')).rejects.toThrow(/ENOENT.*database\.ts\.hbs/)
  expect(host.hash()).toBe(before)
})
