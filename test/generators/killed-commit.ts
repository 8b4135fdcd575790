// A process that commits, and is killed in place of its k-th operation on the disk.
import { commit } from '../../generators/changes/commit.js'
import { diskMeeting, WRITES } from './disk.js'

const [root, k] = process.argv.slice(2)
commit(
  root!,
  WRITES,
  diskMeeting(Number(k), () => {
    process.kill(process.pid, 'SIGKILL')
    // The signal may take a moment, in which nothing more may happen.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }),
)
