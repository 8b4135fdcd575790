import { mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { commit, type Disk } from '../../generators/changes/commit.js'
import { sampleHost } from './sample-host.js'

const WRITES = [
  { path: 'package.json', before: '{}\n', after: '{ "changed": true }\n' },
  { path: 'src/async/tasks/sweep.ts', before: null, after: 'export {}\n' },
  { path: 'src/async/worker.ts', before: null, after: 'export {}\n' },
  { path: 'prisma/schema.prisma', before: 'model A {}\r\n', after: 'model A {}\r\nmodel B {}\r\n' },
]

const host = () => sampleHost({ 'package.json': '{}\n', 'prisma/schema.prisma': 'model A {}\r\n' })

describe('commit', () => {
  it('writes everything, and leaves no temporary file', () => {
    const { root, read, files } = host()
    const before = files()
    commit(root, WRITES)
    for (const { path, after } of WRITES) expect(read(path)).toBe(after)
    expect(files()).toEqual([...before, 'src/async/tasks/sweep.ts', 'src/async/worker.ts'].sort())
  })

  it('failing at its k-th operation, for every k, leaves the tree as it was, empty folders included', () => {
    let k = 1
    for (; ; k++) {
      const { root, hash, has } = host()
      const before = hash()
      const disk = failingAt(k)
      if (succeeds(() => commit(root, WRITES, disk))) break
      expect(hash(), `operation ${k}`).toBe(before)
      expect(has('src/async'), `operation ${k}`).toBe(false)
    }
    // two folders, then a temporary file and a rename for each write
    expect(k - 1).toBe(2 + 2 * WRITES.length)
  })

  it('says what failed, and what could not be undone', () => {
    const { root } = host()
    const disk = failingAt(Number.POSITIVE_INFINITY)
    const broken: Disk = { ...disk, rename: refuse('EACCES: rename'), removeFolder: refuse('EBUSY: rmdir') }
    expect(() => commit(root, WRITES, broken)).toThrow(
      expect.objectContaining({
        code: 'WRITE_FAILED',
        exitCode: 1,
        message: expect.stringMatching(/^EACCES: rename\nThis could not be undone:\nEBUSY: rmdir/),
      }),
    )
  })

  it('writes nothing when a file has changed since it was read', () => {
    const { root, hash, write } = host()
    write('prisma/schema.prisma', 'model Mine {}\n')
    const before = hash()
    expect(() => commit(root, WRITES)).toThrow(expect.objectContaining({ code: 'CHANGED_MEANWHILE', exitCode: 3 }))
    expect(hash()).toBe(before)
  })

  it('writes nothing over a file that has appeared since', () => {
    const { root, read, write } = host()
    write('src/async/worker.ts', '// mine\n')
    expect(() => commit(root, WRITES)).toThrow(/src\/async\/worker\.ts/)
    expect(read('src/async/worker.ts')).toBe('// mine\n')
  })
})

/** The real disk, whose k-th operation is refused, as on a full or read-only one. */
function failingAt(k: number): Disk {
  let count = 0
  const counted =
    <A extends unknown[]>(operation: (...args: A) => void) =>
    (...args: A) => {
      if (++count === k) throw new Error('ENOSPC: no space left on device')
      operation(...args)
    }
  return {
    makeFolder: counted((path) => mkdirSync(path)),
    removeFolder: counted((path) => rmdirSync(path)),
    write: counted((path, content, mode) => writeFileSync(path, content, { mode })),
    rename: counted((from, to) => renameSync(from, to)),
    remove: counted((path) => rmSync(path, { force: true })),
  }
}

function refuse(message: string) {
  return () => {
    throw new Error(message)
  }
}

function succeeds(action: () => void): boolean {
  try {
    action()
    return true
  } catch (error) {
    expect(error).toMatchObject({ code: 'WRITE_FAILED', message: expect.stringContaining('ENOSPC') })
    return false
  }
}
