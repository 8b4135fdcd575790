import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { APP, assembleHost, installedAsyncGen, installHost, REPOSITORY } from '../../support/host.js'
import { prisma } from '../../support/prisma.js'
import { bundle } from '../../support/programs.js'

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

/** The same from what `npm run test:prepare` has made, inside the repository and bundled: it takes no time, and starts in half of the time. */
export async function bundleChaosHost(): Promise<string> {
  const source = mkdtempSync(`${APP}-storm-`)
  const dir = `${source}-bundled`
  const runtime = join('node_modules', '@async-gen', 'runtime')
  try {
    cpSync(APP, source, { recursive: true })
    addFiles(source)
    const tasks = readdirSync(join(source, 'src', 'async', 'tasks')).map((file) => join('tasks', file))
    const modules = ['worker.ts', 'worker-prefetch.ts', ...tasks].map((file): [string, string] => [
      join(source, 'src', 'async', file),
      join('src', 'async', file.replace(/\.ts$/, '.js')),
    ])
    const command = join('bin', 'async-gen-worker')
    modules.push([join(REPOSITORY, 'runtime', 'src', `${command}.ts`), join(runtime, 'dist', `${command}.js`)])
    await bundle(modules, dir, join(runtime, 'dist', 'chunks'))
    cpSync(join(REPOSITORY, 'runtime', 'package.json'), join(dir, runtime, 'package.json'))
    cpSync(join(source, 'package.json'), join(dir, 'package.json'))
    return dir
  } finally {
    rmSync(source, { recursive: true, force: true })
  }
}

function addFiles(dir: string): void {
  cpSync(FILES, dir, { recursive: true })
}
