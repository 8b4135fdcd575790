import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commit, type Disk, recover } from '../../generators/changes/commit.js'
import type { Write } from '../../generators/changes/draft.js'
import { JOURNAL, readJournal } from '../../generators/changes/journal.js'
import type { GeneratorError } from '../../generators/host/errors.js'
import { diskMeeting, WRITES } from './disk.js'
import { sampleHost } from './sample-host.js'

const host = () =>
  sampleHost({
    'package.json': '{}\n',
    'prisma/schema.prisma': 'model A {}\r\n',
    'src/old/deep/gone.ts': 'export {}\n',
  })

// A folder of our own, the journal, two folders, five texts, the journal, five renames and a removal, the journal.
const OPERATIONS = 1 + 1 + 2 + 5 + 2 + 6 + 1

// Bundled, as Node starts it in a third of the time that tsx needs.
const killed = mkdtempSync(join(tmpdir(), 'async-gen-killed-'))
const script = join(killed, 'killed-commit.mjs')
afterAll(() => rmSync(killed, { recursive: true }))
beforeAll(async () => {
  const source = fileURLToPath(new URL('killed-commit.ts', import.meta.url))
  await build({ entryPoints: [source], outfile: script, bundle: true, platform: 'node', format: 'esm' })
})

describe('commit', () => {
  it('writes everything, and leaves no temporary file', () => {
    const { root, read, files, has } = host()
    const before = files()
    commit(root, WRITES)
    for (const { path, after } of WRITES) if (after !== null) expect(read(path)).toBe(after)
    const kept = before.filter((path) => path !== 'src/old/deep/gone.ts')
    expect(files()).toEqual(
      [...kept, '.async-gen/manifest.json', 'src/async/tasks/sweep.ts', 'src/async/worker.ts'].sort(),
    )
    expect(has('src/old')).toBe(false)
  })

  it('writes what a link leads to, and leaves the link', () => {
    const { root, read, write, remove } = host()
    remove('prisma/schema.prisma')
    write('models/schema.prisma', 'model A {}\r\n')
    symlinkSync('../models/schema.prisma', join(root, 'prisma/schema.prisma'))
    commit(root, WRITES)
    expect(readlinkSync(join(root, 'prisma/schema.prisma'))).toBe('../models/schema.prisma')
    expect(read('models/schema.prisma')).toBe('model A {}\r\nmodel B {}\r\n')
  })

  it('that deletes a link deletes the link, and not what it leads to', () => {
    const { root, read, write, remove, has } = host()
    remove('src/old/deep/gone.ts')
    write('models/gone.ts', 'export {}\n')
    symlinkSync('../../../models/gone.ts', join(root, 'src/old/deep/gone.ts'))
    commit(root, WRITES)
    expect(has('src/old')).toBe(false)
    expect(read('models/gone.ts')).toBe('export {}\n')
  })

  it('keeps the permissions of a file, whether it succeeds or fails', () => {
    const { root } = host()
    const mode = () => statSync(join(root, 'package.json')).mode & 0o777
    chmodSync(join(root, 'package.json'), 0o600)
    expect(succeeds(() => commit(root, WRITES, failingAt(OPERATIONS)))).toBe(false)
    expect(mode()).toBe(0o600)
    commit(root, WRITES)
    expect(mode()).toBe(0o600)
  })

  it('failing at its k-th operation, for every k, leaves the tree as it was, empty folders included', () => {
    let k = 1
    for (; ; k++) {
      const { root, hash, has } = host()
      const before = hash()
      const disk = failingAt(k)
      if (succeeds(() => commit(root, WRITES, disk))) break
      expect(hash(), `operation ${k}`).toBe(before)
      expect(has('src/async') || has('.async-gen'), `operation ${k}`).toBe(false)
    }
    expect(k - 1).toBe(OPERATIONS)
  })

  it('killed at its k-th operation, for every k, leaves what the next run ends: as it was, or as it should be', async () => {
    const finished = host()
    const before = finished.hash()
    commit(finished.root, WRITES)
    const after = finished.hash()
    const ends = await Promise.all(
      Array.from({ length: OPERATIONS }, async (_, i) => {
        const { root, hash, has } = host()
        expect(await killedCommit(root, i + 1)).toBe('SIGKILL')
        const journal = readJournal(root)
        if (journal) expect(recover(root, journal).left).toEqual([])
        expect([before, after], `operation ${i + 1}`).toContain(hash())
        expect(has('.async-gen/journal.json')).toBe(false)
        if (journal) expect([has('src/async'), has('.async-gen')]).toEqual(Array(2).fill(hash() === after))
        return hash() === before ? 'as it was' : 'as it should be'
      }),
    )
    expect(new Set(ends)).toEqual(new Set(['as it was', 'as it should be']))
  }, 180_000)

  it('killed, and then edited by the user, leaves the edit and names the file', async () => {
    const { root, write, read } = host()
    await killedCommit(root, OPERATIONS)
    write('prisma/schema.prisma', 'model Mine {}\n')
    expect(recover(root, readJournal(root)!)).toEqual({ finished: true, left: [] })
    expect(read('prisma/schema.prisma')).toBe('model Mine {}\n')

    const other = host()
    await killedCommit(other.root, OPERATIONS - 6)
    other.write('prisma/schema.prisma', 'model Mine {}\n')
    expect(recover(other.root, readJournal(other.root)!)).toEqual({ finished: true, left: ['prisma/schema.prisma'] })
    expect(other.files().filter((path) => path.includes('.async-gen-'))).toEqual([])
    expect(other.read('prisma/schema.prisma')).toBe('model Mine {}\n')
  })

  it('beside another one, however the two meet: one writes, the other writes nothing and says so', () => {
    const other: Write[] = [{ path: 'package.json', before: '{}\n', after: '{ "other": true }\n' }]
    for (let k = 1; k <= OPERATIONS; k++) {
      const { root, read, has } = host()
      let [first, second] = ['applied', 'applied']
      const meet = () => {
        second = codeOf(() => commit(root, other))
      }
      first = codeOf(() => commit(root, WRITES, diskMeeting(k, meet)))
      expect([first, second], `operation ${k}`).toContain('applied')
      expect([first, second], `operation ${k}`).toContain('CHANGED_MEANWHILE')
      expect(read('package.json'), `operation ${k}`).toBe(first === 'applied' ? WRITES[0]!.after : other[0]!.after)
      expect(has('src/async'), `operation ${k}`).toBe(first === 'applied')
      expect(has('.async-gen/journal.json'), `operation ${k}`).toBe(false)
    }
  })

  it('refuses while another one is at work', () => {
    const { root, write, hash } = host()
    write(JOURNAL, JSON.stringify({ pid: process.ppid, ready: false, steps: [], folders: [] }))
    const before = hash()
    expect(() => commit(root, WRITES)).toThrow(expect.objectContaining({ code: 'ALREADY_RUNNING', exitCode: 3 }))
    expect(hash()).toBe(before)
  })

  it('says what failed, and what could not be undone', () => {
    const { root } = host()
    const disk = failingAt(Number.POSITIVE_INFINITY)
    const broken: Disk = { ...disk, rename: refuse('EACCES: rename'), removeFolder: refuse('EBUSY: rmdir') }
    expect(() => commit(root, WRITES, broken)).toThrow(
      expect.objectContaining({
        code: 'WRITE_FAILED',
        exitCode: 1,
        message: expect.stringMatching(/^EACCES: rename\nThese changes could not be undone:\nEBUSY: rmdir/),
        remedy: expect.stringMatching(/^Restore the files above/),
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

/** As on a full or read-only disk. */
function failingAt(k: number): Disk {
  return diskMeeting(k, () => {
    throw new Error('ENOSPC: no space left on device')
  })
}

/** The signal that ended a process which was killed in place of its k-th operation. */
async function killedCommit(root: string, k: number): Promise<string | null> {
  const child = spawn(process.execPath, [script, root, String(k)])
  const [, signal] = await once(child, 'exit')
  return signal
}

function refuse(message: string) {
  return () => {
    throw new Error(message)
  }
}

function codeOf(action: () => void): string {
  try {
    action()
    return 'applied'
  } catch (error) {
    return (error as GeneratorError).code
  }
}

function succeeds(action: () => void): boolean {
  try {
    action()
    return true
  } catch (error) {
    const remedy = expect.stringMatching(/^Nothing was changed/)
    expect(error).toMatchObject({ code: 'WRITE_FAILED', message: expect.stringMatching(/^ENOSPC.*$/), remedy })
    return false
  }
}
