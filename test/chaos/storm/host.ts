import { cpSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { APP, assembleHost, installedAsyncGen, installHost, REPOSITORY } from '../../support/host.js'
import { prisma } from '../../support/prisma.js'

const FILES = join(REPOSITORY, 'test', 'hosts', 'chaos')

/** An application outside of the repository, with the packed tarballs installed and `install` and `attempt` run. */
export async function installChaosHost(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'async-gen-chaos-'))
  assembleHost('single', dir)
  await installHost(dir)
  for (const generator of ['install', 'attempt']) await installedAsyncGen(dir, [generator, '--yes'])
  await prisma(dir, ['generate'])
  addFiles(dir)
  return dir
}

/** The same from what `npm run test:prepare` has made, inside the repository: it takes no time. */
export function copyChaosHost(): string {
  const dir = mkdtempSync(`${APP}-storm-`)
  cpSync(APP, dir, { recursive: true })
  addFiles(dir)
  return dir
}

function addFiles(dir: string): void {
  cpSync(FILES, dir, { recursive: true })
}
