import { BaseAttempt, connect, defineTargets, recordTarget, sweep } from '@async-gen/runtime'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { presenceOf } from '../../runtime/src/presence/presence.js'
import { Counters } from '../../runtime/src/worker/counters.js'
import { openLog } from '../../runtime/src/worker/log.js'
import { metrics } from '../../runtime/src/worker/metrics.js'
import { pauseLog } from '../../runtime/src/worker/pause-log.js'
import { testDatabase } from '../support/database.js'
import { gate } from '../support/gate.js'
import { query } from '../support/postgres.js'
import { runJobs } from '../support/work.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')
const { prisma } = await import('../.app/src/db.js')

let calls: string[] = []
let running = gate()
let release = gate()

class OrderClient {
  static async fulfill(name: string) {
    calls.push(`fulfill ${name}`)
  }
  static async refund(name: string) {
    calls.push(`refund ${name}`)
  }
}
const Mail = {
  send: async (name: string) => {
    calls.push(`send ${name}`)
  },
  slow: async () => {
    running.open()
    await release.opened
    calls.push('slow')
  },
}
const Orders = recordTarget({ load: async (id: number) => ({ id }), methods: { ship: async () => {} } })
/** Its methods are still to be written. */
const Later = {}
const targets = defineTargets(
  { OrderClient, Mail, Orders, Later },
  { renamed: { 'OrderClient.send': 'OrderClient.fulfill', 'Warehouse.ship': 'OrderClient.fulfill' } },
)

class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets }) {}
class UrgentAttempt extends Attempt {}

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
const pending = async () => (await rows(`SELECT FROM attempts WHERE status = 'pending'`)).length
const jobs = async () => (await rows('SELECT FROM graphile_worker.jobs')).length

/** Runs all jobs that are there, one after the other. */
const work = (concurrency = 1) => runJobs(url, Attempt, { concurrency })

beforeEach(() => {
  calls = []
  running = gate()
  release = gate()
})
afterEach(() => rows('TRUNCATE attempts, async_pauses, graphile_worker._private_jobs CASCADE'))

describe('Attempt.pause', () => {
  it('stops the calls of a target, and no others; resume() lets them run in their order', async () => {
    await Attempt.pause(OrderClient, { reason: 'deploy of the warehouse' })
    await Attempt.async(OrderClient).fulfill('second')
    await Attempt.async(Mail).send('mail')
    await Attempt.async(OrderClient, { priority: 30 }).refund('first')
    await Attempt.async(OrderClient).fulfill('third')
    await work()
    expect(calls).toEqual(['send mail'])
    expect([await pending(), await jobs()]).toEqual([3, 0])

    expect(await Attempt.resume(OrderClient)).toBe(true)
    await work()
    expect(calls).toEqual(['send mail', 'refund first', 'fulfill second', 'fulfill third'])
    expect(await rows('SELECT FROM async_pauses')).toEqual([])
    expect(await Attempt.resume(OrderClient)).toBe(false)
  })

  it('stops one method, or all calls of the model', async () => {
    await Attempt.pause(OrderClient, { method: 'fulfill' })
    await Attempt.async(OrderClient).fulfill('a')
    await Attempt.async(OrderClient).refund('b')
    await work()
    expect(calls).toEqual(['refund b'])

    await Attempt.pause()
    await Attempt.async(Mail).send('c')
    expect(await Attempt.resume(OrderClient, { method: 'fulfill' })).toBe(true)
    await work()
    expect(calls).toEqual(['refund b'])
    expect(await Attempt.resume()).toBe(true)
    await work()
    expect(calls).toEqual(['refund b', 'fulfill a', 'send c'])
  })

  it('also stops rows that have an older name of the method', async () => {
    const old = (target: string, method: string) =>
      rows(`INSERT INTO attempts (target, method, args) VALUES ($1, $2, '["old"]')`, [target, method])
    await Attempt.pause(OrderClient)
    await Promise.all([old('OrderClient', 'send'), old('Warehouse', 'ship')])
    await work()
    expect(calls).toEqual([])
    await Attempt.resume(OrderClient)
    await work()
    expect(calls).toEqual(['fulfill old', 'fulfill old'])

    // Two pauses cover the older name, and each ends alone.
    await Attempt.pause(OrderClient)
    await Attempt.pause(OrderClient, { method: 'fulfill' })
    await Attempt.resume(OrderClient)
    await Promise.all([old('OrderClient', 'send'), old('Warehouse', 'ship')])
    await Attempt.pause(OrderClient)
    await Attempt.resume(OrderClient, { method: 'fulfill' })
    await work()
    expect(calls).toHaveLength(2)
    await Attempt.resume(OrderClient)
    await work()
    expect(calls).toHaveLength(4)
    expect(await rows('SELECT FROM async_pauses')).toEqual([])

    await Attempt.pause(OrderClient, { method: 'refund' })
    await Attempt.pause(Mail)
    await old('Warehouse', 'ship')
    await work()
    expect(calls).toHaveLength(5)

    await Attempt.pause(OrderClient, { method: 'fulfill' })
    await Promise.all([old('OrderClient', 'send'), old('Warehouse', 'ship')])
    await work()
    expect(calls).toHaveLength(5)
  })

  it('begins a new pause where one has ended by itself, which resume() does not count as in force', async () => {
    await Attempt.pause(OrderClient, { until: '1 hour' })
    const { since } = (await Attempt.pauses())[0]!
    await rows('UPDATE async_pauses SET until = clock_timestamp()')
    await Attempt.pause(OrderClient)
    expect((await Attempt.pauses())[0]!.since.getTime()).toBeGreaterThan(since.getTime())
    await rows('UPDATE async_pauses SET until = clock_timestamp()')
    expect(await Attempt.resume(OrderClient)).toBe(false)
  })

  it('replaces the end and the reason of a pause that is in force', async () => {
    const until = new Date(Date.now() + 3_600_000)
    await Attempt.pause(OrderClient, { until, reason: 'one' })
    const [first] = await Attempt.pauses()
    expect(first).toEqual({ target: 'OrderClient', method: null, reason: 'one', until, since: expect.any(Date) })
    await Attempt.pause(OrderClient)
    const paths = (await Attempt.pauses()).map(({ target, method }) => [target, method])
    expect(paths).toEqual([
      ['OrderClient', null],
      ['Warehouse', 'ship'],
    ])
    expect((await Attempt.pauses())[0]).toMatchObject({ reason: null, until: null, since: first!.since })
    await Attempt.pause({ until: '1 hour' })
    const [all] = await Attempt.pauses()
    expect(all).toMatchObject({ target: null, method: null })
    expect(Math.abs(all!.until!.getTime() - until.getTime())).toBeLessThan(60_000)
  })

  it.each([
    ['a time in the past', [OrderClient, { until: new Date(0) }], 'until is 1970-01-01T00:00:00.000Z'],
    ['no time at all', [OrderClient, { until: new Date(Number.NaN) }], 'until is an invalid Date'],
    ['no length of time', [OrderClient, { until: 0 }], 'until is 0. It must be a time in the future'],
    ['a length of time beyond all calendars', [{ until: 1e300 }], 'until is 1e+300'],
    ['text that is no duration', [{ until: 'tomorrow' }], 'until: "tomorrow" is not a duration'],
    ['an unknown method', [OrderClient, { method: 'fullfil' }], 'The target OrderClient has no method "fullfil"'],
    ['an inherited method', [OrderClient, { method: 'toString' }], 'has no method "toString"'],
    ['a target that is not listed', [class Other {}], 'Other is not a target'],
    ['an object of functions that is not listed', [{ send: async () => {} }], 'is not a target. List it'],
    ['such an object with another property', [{ send: async () => {}, retries: 3 }], 'is not a target. List it'],
    ['options in place of a target', [{ until: '1h' }, { reason: 'deploy' }], 'is not a target. List it'],
    ['the name of a target that is not listed', ['Other'], 'No target is called "Other"'],
    ['one record of a target', [Orders.for({ id: 1 })], 'is not a target'],
    ['a target that could not be imported', [undefined], 'pause(undefined): the first argument is no target'],
    ['a target that could not be imported, with options', [undefined, { until: '1h' }], 'is no target'],
    ['null', [null], 'pause(null)'],
    ['a misspelt option', [{ untill: '1h' }], 'pause has no option "untill" here. Its options are: until, reason'],
    ['a method without a target', [{ method: 'fulfill' }], 'pause has no option "method" without a target'],
    ['a reason that is no text', [{ reason: 12 }], 'reason is 12. It must be a text'],
    ['options that are no object', [OrderClient, '1h'], 'The options of pause are 1h'],
  ])('refuses %s', async (_, args, message) => {
    const pause = Attempt.pause as (...args: unknown[]) => Promise<void>
    await expect(pause.apply(Attempt, args)).rejects.toThrow(message)
    expect(await rows('SELECT FROM async_pauses')).toEqual([])
  })

  it('has options that resume() refuses', async () => {
    await Attempt.pause()
    await expect(Attempt.resume({ until: '1h' } as never)).rejects.toThrow(
      'resume has no option "until" here. Its options are: none.',
    )
    expect(await Attempt.pauses()).toHaveLength(1)
  })

  it('refuses a subclass, whose rows have the same model', async () => {
    await expect(UrgentAttempt.pause()).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(UrgentAttempt.resume(OrderClient)).rejects.toThrow('a pause is for all attempts of the model Attempt')
    await Attempt.pause()
    expect(await UrgentAttempt.pauses()).toHaveLength(1)
  })

  it('takes records of a model as a target, and a reason with any characters', async () => {
    await Attempt.pause(Orders, { method: 'ship', reason: `\0 it's "new"\n\u202e\ud800 ${'x'.repeat(9000)}` })
    const [pause] = await Attempt.pauses()
    expect(pause).toMatchObject({ target: 'Orders', method: 'ship' })
    expect(pause!.reason).toMatch(/^\ufffd it's "new"\n\u202e\ufffd x+$/)
    expect(pause!.reason!.length).toBe(1000)
  })

  it('is a row that SQL and Prisma can insert, change and delete', async () => {
    await rows(`INSERT INTO async_pauses (model, target) VALUES ('Attempt', 'OrderClient')`)
    await prisma.asyncPause.create({ data: { model: 'Attempt', method: 'send', reason: 'spam' } })
    await rows(`INSERT INTO async_pauses (model) VALUES ('EmailAttempt')`)
    await Attempt.async(OrderClient).fulfill('a')
    await Attempt.async(Mail).send('b')
    await work()
    expect([calls, await pending(), await jobs()]).toEqual([[], 2, 0])
    expect(await Attempt.pauses()).toMatchObject([
      { target: null, method: 'send', reason: 'spam' },
      { target: 'OrderClient', method: null },
    ])

    await prisma.asyncPause.deleteMany({ where: { target: 'OrderClient' } })
    await rows(`UPDATE async_pauses SET until = 'infinity' WHERE model = 'Attempt'`)
    await sweep(db)
    await work()
    expect(calls).toEqual(['fulfill a'])
    expect(await Attempt.pauses()).toMatchObject([{ method: 'send', until: null }])

    await rows(`UPDATE async_pauses SET until = '-infinity' WHERE model = 'Attempt'`)
    await sweep(db)
    await work()
    expect(calls).toEqual(['fulfill a', 'send b'])
    expect(await rows('SELECT model FROM async_pauses')).toEqual([{ model: 'EmailAttempt' }])
  })

  it('takes null for no end and no reason, as pauses() returns them', async () => {
    await Attempt.pause(Mail)
    const [pause] = await Attempt.pauses()
    const { until, reason } = pause!
    await Attempt.pause(Mail, { until, reason } as never)
    expect(await Attempt.pauses()).toEqual([pause])
  })

  it('stops no other target if its target has no methods', async () => {
    await Attempt.pause(Later)
    expect(await Attempt.pauses()).toMatchObject([{ target: 'Later', method: null }])
  })

  it('resumes a target by its name, also one that is no longer listed', async () => {
    await rows(`INSERT INTO async_pauses (model, target) VALUES ('Attempt', 'Gone')`)
    expect(await Attempt.resume('Gone')).toBe(true)
    await Attempt.pause('Mail', { method: 'send' })
    expect(await Attempt.resume('Mail', { method: 'send' })).toBe(true)
  })
})

describe('a paused call', () => {
  it('goes on if it already runs, and waits from its next run on', async () => {
    await Attempt.async(Mail).slow()
    const worker = work()
    await running.opened
    await Attempt.pause(Mail)
    release.open()
    await worker
    expect(calls).toEqual(['slow'])
    await Attempt.async(Mail).slow()
    await work()
    expect(calls).toEqual(['slow'])
  })

  it('can be recorded, scheduled, retried, cancelled and expired, and runs none of its tries', async () => {
    await Attempt.pause()
    const retried = await Attempt.async(Mail).send('retried')
    const cancelled = await Attempt.async(Mail).send('cancelled')
    const scheduled = await Attempt.schedule(new Date(Date.now() + 50), Mail).send('scheduled')
    await retried.retry()
    await cancelled.cancel()
    await rows(`UPDATE attempts SET scheduled_at = now() WHERE id = $1`, [scheduled.id])
    await work()
    const expired = await Attempt.async(Mail).send('expired')
    await rows(`UPDATE attempts SET expires_at = now() WHERE id = $1`, [expired.id])
    await work()
    await sweep(db)
    expect((await expired.reload()).status).toBe('expired')
    expect([await retried.reload(), await scheduled.reload()]).toMatchObject([
      { status: 'pending', numAttempts: 0, errors: [] },
      { status: 'pending', numAttempts: 0, errors: [] },
    ])

    await Attempt.resume()
    await work()
    expect(calls.sort()).toEqual(['send retried', 'send scheduled'])
  })

  it('runs after `until` has passed, in its order, and the sweep removes the pause', async () => {
    await Attempt.pause(Mail, { until: '50ms' })
    await Attempt.async(Mail).send('second')
    await Attempt.async(Mail, { priority: 20 }).send('first')
    await rows(`UPDATE async_pauses SET until = NULL`)
    await work()
    await rows(`UPDATE async_pauses SET until = clock_timestamp()`)
    expect(await Attempt.pauses()).toEqual([])
    expect((await sweep(db)).enqueued).toBe(2)
    await work()
    expect(calls).toEqual(['send first', 'send second'])
    expect(await rows('SELECT FROM async_pauses')).toEqual([])
  })

  it('is enqueued after all that have a higher priority or an earlier time, also among thousands', async () => {
    await Attempt.pause(Mail)
    const past = (milliseconds: number) => new Date(Date.now() - 3_600_000 + milliseconds)
    await Attempt.createMany(
      Array.from({ length: 2500 }, (_, i) => ({
        target: Mail,
        method: 'send' as const,
        args: [String(i)] as [string],
        priority: (i * 7) % 5,
        scheduledAt: past((i * 13) % 40),
      })),
    )
    await rows('DELETE FROM graphile_worker._private_jobs')
    await Attempt.resume(Mail)
    const enqueued = await rows('SELECT key FROM graphile_worker.jobs ORDER BY id')
    const wanted = await rows(`SELECT 'attempt:' || id AS key FROM attempts ORDER BY priority DESC, scheduled_at, id`)
    expect(enqueued).toEqual(wanted)
  })

  it('is enqueued by attempt_batch too, once its pause has ended', async () => {
    await Attempt.pause(Mail)
    await Attempt.async(Mail).send('a')
    await work()
    await rows(`UPDATE async_pauses SET until = clock_timestamp(); SELECT graphile_worker.add_job('attempt_batch')`)
    await work()
    await work()
    expect(calls).toEqual(['send a'])
  })

  it('stays without a job while another pause matches it', async () => {
    await Attempt.pause(Mail)
    await Attempt.pause(Mail, { method: 'send' })
    await Attempt.async(Mail).send('a')
    await work()
    expect(await Attempt.resume(Mail)).toBe(true)
    await sweep(db)
    expect(await jobs()).toBe(0)
    expect(await Attempt.resume(Mail, { method: 'send' })).toBe(true)
    expect(await jobs()).toBe(1)
  })

  it('gets another job if its own is just ending, because its worker has found it paused', async () => {
    await Attempt.pause(Mail)
    const attempt = await Attempt.async(Mail).send('a')
    // A worker has fetched the job, its claim found nothing, and the job is not completed yet.
    const lock = `UPDATE graphile_worker._private_jobs SET locked_at = now(), locked_by = 'a worker' RETURNING id`
    const [job] = await rows(lock)
    const { id: worker } = await presenceOf(db)
    expect((await Attempt.store.runs.claim(attempt.id, worker)).claimed).toBeUndefined()
    await Attempt.resume(Mail)
    await rows(`SELECT graphile_worker.complete_jobs(ARRAY[$1::bigint])`, [job!.id])
    await work()
    expect(calls).toEqual(['send a'])
  })

  it('runs although the process ends within resume(): the sweep finishes it', async () => {
    await Attempt.pause(Mail)
    await Attempt.async(Mail).send('a')
    await work()
    const { pauses } = Attempt.store
    const enqueue = vi.spyOn(pauses, 'enqueueResumed').mockRejectedValueOnce(new Error('killed'))
    await expect(Attempt.resume(Mail)).rejects.toThrow('killed')
    enqueue.mockRestore()
    expect(await jobs()).toBe(0)
    expect((await sweep(db)).enqueued).toBe(1)
    await work()
    expect(calls).toEqual(['send a'])
  })

  describe('whose pause has ended, while another process enqueues such calls,', () => {
    /** What another process does meanwhile: it has enqueued nothing when it ends. */
    const during = async (act: () => Promise<unknown>) => {
      await Attempt.pause(Mail)
      await Attempt.async(Mail).send('a')
      await work()
      await db.transaction(async (send) => {
        await send(
          { name: 'lock', text: "SELECT pg_advisory_xact_lock(hashtextextended('async-gen:resume:Attempt', 0))" },
          [],
        )
        await act()
      })
    }

    it('is left to that process by the sweep, and its pause stays until it is enqueued', async () => {
      await during(async () => {
        await rows('UPDATE async_pauses SET until = clock_timestamp()')
        expect(await sweep(db)).toMatchObject({ enqueued: 0 })
        expect(await jobs()).toBe(0)
        expect(await rows('SELECT FROM async_pauses')).toHaveLength(1)
      })
      expect(await sweep(db)).toMatchObject({ enqueued: 1 })
    })

    it('has a job all the same when resume() returns', async () => {
      let resumed: Promise<boolean> | undefined
      await during(async () => {
        resumed = Attempt.resume(Mail)
        await vi.waitFor(async () => expect(await Attempt.pauses()).toEqual([]))
      })
      expect(await resumed).toBe(true)
      expect(await jobs()).toBe(1)
    })
  })

  it('is paused again if that comes while its pause is being ended', async () => {
    await Attempt.pause(Mail)
    await Attempt.async(Mail).send('a')
    await work()
    await rows(`UPDATE async_pauses SET until = clock_timestamp()`)
    await Attempt.pause(Mail, { reason: 'again' })
    await sweep(db)
    expect(await Attempt.pauses()).toMatchObject([{ target: 'Mail', reason: 'again' }])
    expect(await jobs()).toBe(0)
  })
})

describe('what operators see', () => {
  it('is a warning of perform() that says why the call did not run', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    await Attempt.pause(Mail, { reason: 'too many\ncomplaints' })
    const attempt = await Attempt.async(Mail).send('a')
    expect(await attempt.perform()).toBe(false)
    expect(warn.mock.lastCall![0]).toMatch(
      /^perform\(\) did not run Attempt \d+ \(Mail.send\): Mail \(Attempt\) has been paused since \S+Z, until it is resumed: too many\\ncomplaints\.$/,
    )
    await rows(`UPDATE attempts SET expires_at = '2020-01-01Z'`)
    expect(await attempt.perform()).toBe(false)
    expect(warn.mock.lastCall![0]).toContain('it expired at 2020-01-01T00:00:00.000Z')
    warn.mockRestore()
  })

  it('is no pause of another target or of another method in that warning', async () => {
    await rows(`INSERT INTO async_pauses (model, target, method) VALUES
      ('Attempt', '*', 'slow'), ('Attempt', 'Audit', '*'), ('Attempt', 'Audit', 'send'), ('Attempt', 'Mail', 'slow')`)
    const warn = vi.spyOn(process, 'emitWarning').mockReturnValue()
    const attempt = await Attempt.async(Mail).send('a')
    await Attempt.pause(Mail, { method: 'send' })
    expect(await attempt.perform()).toBe(false)
    expect(warn.mock.lastCall![0]).toContain('(Mail.send): Mail.send (Attempt) has been paused')
    warn.mockRestore()
  })

  it('is counted apart from due rows in the metrics, with a gauge for each pause', async () => {
    await Attempt.async(OrderClient).fulfill('due')
    await Attempt.async(Mail).send('paused')
    await rows(`UPDATE attempts SET scheduled_at = now() - interval '1 hour' WHERE target = 'Mail'`)
    expect(await metrics(db, new Counters(), undefined)).toContain(
      'async_gen_rows{table="attempts",state="paused"} 0\n',
    )
    await Attempt.pause(Mail)
    const text = await metrics(db, new Counters(), undefined)
    expect(text).toContain('async_gen_rows{table="attempts",state="due"} 1\n')
    expect(text).toContain('async_gen_rows{table="attempts",state="paused"} 1\n')
    expect(text).toContain('async_gen_paused{model="Attempt",target="Mail",method="*"} 1\n')
    expect(text).not.toContain('table="toasts",state="paused"')
    const oldest = Number(/async_gen_oldest_due_seconds\{table="attempts"\} (\S+)/.exec(text)![1])
    expect(oldest).toBeLessThan(600)
  })

  it('counts in the metrics what is due, apart from what waits for a limit or for its time, and from what has ended', async () => {
    await Attempt.pause(OrderClient)
    expect(await metrics(db, new Counters(), undefined)).toContain('async_gen_oldest_due_seconds{table="attempts"} 0\n')
    await rows(`
      INSERT INTO attempts (target, method, args, status, limit_key, scheduled_at) VALUES
        ('Mail', 'send', '[]', 'pending', NULL, now() - interval '1 minute'),
        ('Mail', 'send', '[]', 'pending', NULL, now() - interval '10 minutes'),
        ('Mail', 'send', '[]', 'pending', NULL, '-infinity'),
        ('Mail', 'send', '[]', 'pending', 'Mail:acme', now() - interval '1 hour'),
        ('Mail', 'send', '[]', 'pending', NULL, now() + interval '1 hour'),
        ('Mail', 'send', '[]', 'succeeded', NULL, now() - interval '1 hour'),
        ('OrderClient', 'fulfill', '[]', 'pending', 'OrderClient:acme', now() - interval '1 hour'),
        ('OrderClient', 'fulfill', '[]', 'pending', NULL, now() - interval '1 hour')`)
    const text = await metrics(db, new Counters(), undefined)
    const counts = ['due', 'limited', 'paused'].map((state) =>
      Number(new RegExp(`rows{table="attempts",state="${state}"} (\\d+)`).exec(text)![1]),
    )
    expect(counts).toEqual([3, 1, 2])
    const oldest = Number(/async_gen_oldest_due_seconds\{table="attempts"\} (\S+)/.exec(text)![1])
    expect(oldest).toBeGreaterThanOrEqual(600)
    expect(oldest).toBeLessThan(1200)
  })

  it('is a warning in the log if a pause matches nothing, with a statement that removes it', async () => {
    await rows(`INSERT INTO async_pauses (model, target, method) VALUES ('attempts', '*', '*'),
      ('Attempt', 'Mial', '*'), ('Attempt', 'Mail', 'sned'), ('Attempt', '*', 'sned'),
      ('Attempt', 'Zeppelin', '*'), ('AsyncSchedule', '*', '*'),
      ('Attempt', 'Warehouse', 'ship'), ('Attempt', 'Orders', 'ship'), ('Attempt', '*', 'send'), ('Attempt', 'Mail', '*'), ('Attempt', '*', '*')`)
    const warnings: string[] = []
    const log = {
      ...openLog('json'),
      message: (level: string, text: string) => void (level === 'warning' && warnings.push(text)),
    }
    const logPauses = pauseLog(db, log)
    await logPauses()
    await logPauses()
    expect(warnings).toEqual([
      expect.stringContaining('all of AsyncSchedule matches nothing: there is no model AsyncSchedule of attempts.'),
      "The pause of *.sned (Attempt) matches nothing: targets.ts lists no method sned. Did you mean send? To remove it: DELETE FROM async_pauses WHERE model = 'Attempt' AND target = '*' AND method = 'sned';",
      expect.stringContaining(
        'Mail.sned (Attempt) matches nothing: targets.ts lists no method sned of the target Mail.',
      ),
      expect.stringContaining('Mial (Attempt) matches nothing: targets.ts lists no target Mial. Did you mean Mail?'),
      expect.stringContaining('targets.ts lists no target Zeppelin. To remove it:'),
      expect.stringContaining('all of attempts matches nothing: there is no model attempts of attempts. To remove'),
    ])
  })

  it('is no warning about names in a model whose targets this process does not have', async () => {
    const other = connect(prisma, { connectionString: url })
    await rows(`INSERT INTO async_pauses (model, target) VALUES ('Attempt', 'Mial')`)
    const levels: string[] = []
    await pauseLog(other, { ...openLog('json'), message: (level: string) => void levels.push(level) })()
    expect(levels).toEqual(['info'])
    await other.close()
  })

  it('is a line in the log when a pause begins, changes and ends', async () => {
    const messages: string[] = []
    const log = { ...openLog('json'), message: (_: string, text: string) => void messages.push(text) }
    const logPauses = pauseLog(db, log)
    const logged = async () => {
      messages.length = 0
      await logPauses()
      return [...messages]
    }
    await Attempt.pause(Mail, { method: 'send', reason: 'deploy' })
    expect(await logged()).toEqual([
      expect.stringMatching(/^Mail.send \(Attempt\) has been paused since .*, until it is resumed: deploy\.$/),
    ])
    expect(await logged()).toEqual([])
    await Attempt.pause(Mail, { method: 'send', until: '1h' })
    expect(await logged()).toEqual([
      expect.stringMatching(/^Mail.send \(Attempt\) has been paused since \S+, until \S+Z\.$/),
    ])
    await Attempt.resume(Mail, { method: 'send' })
    expect(await logged()).toEqual(['The pause of Mail.send (Attempt) has ended.'])
  })
})
