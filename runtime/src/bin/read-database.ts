// Prints what the database says about workers and pauses, as one JSON object. `status` runs it as a process of its own.
import { isAsyncGenError } from '../core/errors.js'
import { hostDatabase } from './attempts/classes.js'
import { shownLimits } from './attempts/limits.js'
import { shownPauses } from './attempts/pause.js'
import { using } from './database-errors.js'

const [worker] = process.argv.slice(2)

const writeOut = process.stdout.write.bind(process.stdout)
// The output of the host's modules.
process.stdout.write = process.stderr.write.bind(process.stderr)

async function read(): Promise<object> {
  try {
    const db = await hostDatabase(worker)
    return await using(db, async () => {
      const [workers, pauses, limits] = await Promise.all([
        db.workers(),
        shownPauses(db, worker),
        shownLimits(worker).catch(() => []),
      ])
      const alive = workers.map(({ id, host, pid, startedAt, version }) => ({ id, host, pid, startedAt, version }))
      return { alive, pauses, limits }
    })
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0] : String(error)
    return { error: { code: isAsyncGenError(error) ? error.code : 'INTERNAL', message } }
  }
}

const answer = JSON.stringify(await read())
await new Promise((written) => writeOut(answer, () => written(undefined)))
process.exit()
