import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { APP, REPOSITORY } from '../support/host.js'
import { run } from '../support/run.js'
import type { Block } from './blocks.js'

/** What stands around the blocks: the names that they use, and the list of targets. */
const HOST = join(REPOSITORY, 'test', 'docs', 'host')

/** Compiles blocks in one program, each as a module of a copy of test/.app, and returns each error with its place in the guide. */
export async function compileErrors(blocks: Block[]): Promise<string[]> {
  const dir = join(APP, `docs-${process.pid}`)
  mkdirSync(dir)
  try {
    cpSync(join(APP, 'src'), join(dir, 'src'), { recursive: true })
    copyFileSync(join(HOST, 'prelude.ts'), join(dir, 'prelude.ts'))
    copyFileSync(join(HOST, 'targets.ts'), join(dir, 'src', 'async', 'targets.ts'))
    blocks.forEach(({ text }, index) => {
      const folder = join(dir, folderOf(text))
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `block-${index}.ts`), `${text}\nexport {}\n`)
    })
    const tsconfig = {
      extends: '../tsconfig.json',
      compilerOptions: { declaration: false, declarationMap: false },
      include: ['.'],
    }
    writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(tsconfig))
    const tsc = join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = await run(dir, process.execPath, [tsc, '--pretty', 'false'], { exitCodes: [0, 1, 2] })
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => inGuide(line, blocks))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** A block that begins with `// src/async/targets.ts` imports what is beside that file. */
function folderOf(text: string): string {
  return /^\/\/ (src(?:\/[\w-]+)*)\/[\w.-]+\.ts\n/.exec(text)?.[1] ?? '.'
}

/** `block-3.ts(2,5): error …` becomes `docs/toasts.md:41: error …`. */
function inGuide(line: string, blocks: Block[]) {
  return line.replace(/^(?:[\w/-]+\/)?block-(\d+)\.ts\((\d+),\d+\)/, (_, index, row) => {
    const [file, first] = blocks[Number(index)]!.at.split(':')
    return `${file}:${Number(first) + Number(row) - 1}`
  })
}
