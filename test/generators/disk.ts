import { mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import type { Disk } from '../../generators/changes/commit.js'

export const WRITES = [
  { path: 'package.json', before: '{}\n', after: '{ "changed": true }\n' },
  { path: 'src/async/tasks/sweep.ts', before: null, after: 'export {}\n' },
  { path: 'src/async/worker.ts', before: null, after: 'export {}\n' },
  { path: 'src/old/gone.ts', before: 'export {}\n', after: null },
  { path: 'prisma/schema.prisma', before: 'model A {}\r\n', after: 'model A {}\r\nmodel B {}\r\n' },
]

/** The real disk, which calls `meet` in place of its k-th operation. */
export function diskMeeting(k: number, meet: () => void): Disk {
  let count = 0
  const counted =
    <A extends unknown[]>(operation: (...args: A) => void) =>
    (...args: A) => {
      if (++count === k) meet()
      else operation(...args)
    }
  return {
    makeFolder: counted((path) => mkdirSync(path)),
    removeFolder: counted((path) => rmdirSync(path)),
    write: counted((path, content, mode) => writeFileSync(path, content, { mode })),
    rename: counted((from, to) => renameSync(from, to)),
    remove: counted((path) => rmSync(path, { force: true })),
  }
}
