import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** The Chromium of this machine: that of CHROMIUM, or of the system. Undefined where there is none. */
export function findChromium(): string | undefined {
  const known = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  return known.find((path) => path !== undefined && path !== '' && existsSync(path))
}

export async function openBrowser(): Promise<Browser> {
  // Without a graphics card, a process that imitates one would draw each page. As root, as in a container, Chromium runs without its
  // sandbox only. The pages are our own.
  const args = ['--disable-gpu', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])]
  return await chromium.launch({ executablePath: findChromium()!, args })
}
