import { type Disk, realDisk } from '../../generators/changes/commit.js'

export const WRITES = [
  { path: 'package.json', before: '{}\n', after: '{ "changed": true }\n' },
  { path: 'src/async/tasks/sweep.ts', before: null, after: 'export {}\n' },
  { path: 'src/async/worker.ts', before: null, after: 'export {}\n' },
  { path: 'src/old/deep/gone.ts', before: 'export {}\n', after: null },
  { path: 'prisma/schema.prisma', before: 'model A {}\r\n', after: 'model A {}\r\nmodel B {}\r\n' },
  { path: '.async-gen/manifest.json', before: null, after: '{}\n' },
]

/** The real disk, which calls `meet` before its k-th operation. */
export function diskMeeting(k: number, meet: () => void): Disk {
  let count = 0
  const counted =
    <A extends unknown[]>(operation: (...args: A) => void) =>
    (...args: A) => {
      if (++count === k) meet()
      operation(...args)
    }
  return {
    create: counted(realDisk.create),
    makeFolder: counted(realDisk.makeFolder),
    removeFolder: counted(realDisk.removeFolder),
    write: counted(realDisk.write),
    rename: counted(realDisk.rename),
    remove: counted(realDisk.remove),
  }
}
