import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import {
  AesGcmEncryptor,
  attemptTask,
  BaseAttempt,
  connect,
  defineTargets,
  type Encryptor,
  NullEncryptor,
  PermanentError,
  reencryptTask,
  sweep,
} from '@async-gen/runtime'
import { PrismaPg } from '@prisma/adapter-pg'
import { type JobHelpers, Logger, runOnce } from 'graphile-worker'
import pg from 'pg'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { EncryptedRows } from '../../runtime/src/attempt/reencrypt.js'
import { testDatabase } from '../support/database.js'
import { query } from '../support/postgres.js'

const url = await testDatabase()
const { db } = await import('../.app/src/async/database.js')

const SECRET = '4111 1111 1111 1111'
const Cards = {
  charge: async (card: string) => ({ charged: card }),
  decline: async (card: string) => {
    Encrypted.current().progress(0.5, `asks the bank of ${card}`)
    throw new Error(`${card} was declined`)
  },
  block: async (card: string) => {
    throw new PermanentError(`${card} was stolen`)
  },
}
const targets = defineTargets({ Cards })
const key = () => randomBytes(32).toString('base64')
const keys = { old: key(), now: key() }

const attemptsWith = (encryptor?: Encryptor, encryptors: Encryptor[] = [], database: typeof db = db) =>
  class Attempt extends BaseAttempt(database, {
    model: 'Attempt',
    table: 'attempts',
    targets,
    encryptors,
    ...(encryptor && { encryptor }),
  }) {}
const Encrypted = attemptsWith(new AesGcmEncryptor({ old: keys.old }))

const rows = (sql: string, values?: unknown[]) => query(url, sql, values)
/** Changes a row as somebody would who can write to the table, past the trigger that refuses it. */
const tamper = (sql: string, values: unknown[]) =>
  rows(`WITH allowed AS (SELECT set_config('async_gen.reencrypt', 'on', true)) ${sql}`, values)

const reencrypt = async (Attempt: typeof Encrypted) => {
  await reencryptTask(Attempt)({}, { logger: new Logger(() => () => {}) } as unknown as JobHelpers)
}

afterEach(() => rows('TRUNCATE attempts, graphile_worker._private_jobs CASCADE'))

describe('an encrypted attempt', () => {
  it('A14, A22: keeps arguments, result and errors secret in the row and in the job, and gives them back', async () => {
    const good = await Encrypted.async(Cards).charge(SECRET)
    const bad = await Encrypted.async(Cards).decline(SECRET)
    const worse = await Encrypted.async(Cards).block(SECRET)
    await Promise.all([good.perform(), bad.perform(), worse.perform()])

    const stored =
      JSON.stringify(await rows('SELECT * FROM attempts')) +
      JSON.stringify(await rows('SELECT * FROM graphile_worker._private_jobs'))
    expect(stored).not.toContain(SECRET)
    expect(stored).toContain('"encryptor":"aes-256-gcm:old"')

    const [goodAgain, badAgain] = [await Encrypted.find(good.id), await Encrypted.find(bad.id)]
    expect(goodAgain).toMatchObject({ args: [SECRET], result: { charged: SECRET }, encryptor: 'aes-256-gcm:old' })
    expect(worse).toMatchObject({ status: 'failed', errors: [{ message: `${SECRET} was stolen` }] })
    expect(badAgain?.errors).toMatchObject([{ number: 1, name: 'Error', message: `${SECRET} was declined` }])
  })

  it('A22: tells nothing secret to those who log and trace', async () => {
    const told: unknown[] = []
    const listen = (message: unknown) => told.push(message)
    subscribe('tracing:async-gen:run:asyncEnd', listen)
    await (await Encrypted.async(Cards).decline(SECRET)).perform()
    unsubscribe('tracing:async-gen:run:asyncEnd', listen)
    expect(told).toMatchObject([{ error: { name: 'Encrypted' } }])
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('A22: nor does a hook that throws the error on: not to the log, nor to the job', async () => {
    class Raising extends Encrypted {
      override async handlePerformError(error: unknown) {
        await super.handlePerformError(error)
        throw error
      }
    }
    const told: unknown[] = []
    const listen = (message: unknown) => told.push(message)
    const logger = new Logger(() => (_level, message, meta) => void told.push(message, meta))
    subscribe('tracing:async-gen:run:asyncEnd', listen)
    await Raising.async(Cards).decline(SECRET)
    const { id } = await Raising.async(Cards).decline(SECRET)
    await runOnce({
      connectionString: url,
      taskList: { attempt: attemptTask(Raising) },
      noHandleSignals: true,
      logger,
    })
    unsubscribe('tracing:async-gen:run:asyncEnd', listen)
    expect(told.length).toBeGreaterThan(2)
    expect(inspect(told, { depth: 9 })).not.toContain(SECRET)
    expect(JSON.stringify(await rows('SELECT * FROM graphile_worker._private_jobs'))).not.toContain(SECRET)
    expect((await Encrypted.find(id))?.errors).toMatchObject([{ message: `${SECRET} was declined` }])
  })

  it('A22: shows nothing to those who log what the PrismaClient does', async () => {
    const seen: string[] = []
    const { PrismaClient } = await import('../.app/src/generated/prisma/client.js')
    const logging = new PrismaClient({
      adapter: new PrismaPg({ connectionString: url }),
      log: [{ emit: 'event', level: 'query' }],
    })
    logging.$on('query', ({ query, params }) => seen.push(query, params))
    const Logged = attemptsWith(new AesGcmEncryptor({ old: keys.old }), [], connect(logging, { connectionString: url }))
    const { id } = await logging.$transaction((tx) => Logged.async(Cards, { tx }).charge(SECRET))
    expect((await Logged.find(id))?.args).toEqual([SECRET])
    expect(seen.join()).toContain('INSERT INTO "attempts"')
    expect(seen.join()).not.toContain(SECRET)
    await logging.$disconnect()
  })

  it('A14: is the choice of each attempt, too', async () => {
    const plain = await Encrypted.async(Cards, { encryptor: NullEncryptor }).charge('test card')
    expect(await rows('SELECT encryptor, args FROM attempts')).toEqual([{ encryptor: null, args: ['test card'] }])
    expect(plain.args).toEqual(['test card'])

    const Plain = attemptsWith(undefined, [new AesGcmEncryptor({ old: keys.old })])
    const secret = await Plain.async(Cards, { encryptor: new AesGcmEncryptor({ old: keys.old }) }).charge(SECRET)
    expect((await Plain.find(secret.id))?.args).toEqual([SECRET])
  })

  it('A14: refuses an encryptor that it could not find again', async () => {
    const stranger = new AesGcmEncryptor({ other: key() })
    await expect(Encrypted.async(Cards, { encryptor: stranger }).charge(SECRET)).rejects.toThrow(
      'No encryptor is called "aes-256-gcm:other". Known: aes-256-gcm:old.',
    )
    expect(await rows('SELECT FROM attempts')).toEqual([])
  })

  it('A14: takes an encryptor of the host’s own', async () => {
    const reverse: Encryptor = {
      name: 'reverse',
      encrypt: (content) => [...content].reverse().join(''),
      decrypt: (content) => [...content].reverse().join(''),
    }
    const Reversed = attemptsWith(reverse)
    const { id } = await Reversed.async(Cards).charge('1234')
    expect(await rows('SELECT encryptor, args FROM attempts')).toEqual([{ encryptor: 'reverse', args: ']"4321"[' }])
    expect((await Reversed.perform(id))?.result).toEqual({ charged: '1234' })
  })
})

describe('a ciphertext that is not what it should be', () => {
  const failure = async (id: bigint, Attempt = Encrypted) => {
    const attempt = await Attempt.perform(id)
    return { status: attempt?.status, numAttempts: attempt?.numAttempts, message: attempt?.errors.at(-1)?.message }
  }

  it('A22: moved to another row, fails that attempt with a clear reason, once', async () => {
    const [from, to] = [await Encrypted.async(Cards).charge(SECRET), await Encrypted.async(Cards).charge('0')]
    await tamper('UPDATE attempts SET args = (SELECT args FROM attempts WHERE id = $1) FROM allowed WHERE id = $2', [
      from.id,
      to.id,
    ])
    expect(await failure(to.id)).toEqual({
      status: 'failed',
      numAttempts: 1,
      message: expect.stringContaining('moved from another row'),
    })
  })

  it.each([
    ['to another method', `method = 'block'`],
    ['from the result to the arguments', 'args = result'],
  ])('A22: moved %s of the same row, fails the attempt', async (_, change) => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    await Encrypted.perform(id)
    await tamper(`UPDATE attempts SET status = 'pending', ${change} FROM allowed WHERE id = $1`, [id])
    expect(await failure(id)).toMatchObject({
      status: 'failed',
      message: expect.stringContaining('moved from another row'),
    })
  })

  it('A22: moved to another table, does not decrypt', async () => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    await rows('CREATE TABLE archive AS SELECT * FROM attempts')
    class Archived extends BaseAttempt(connect(db.prisma, { connectionString: url }), {
      model: 'Attempt',
      table: 'archive',
      targets,
      encryptor: new AesGcmEncryptor({ old: keys.old }),
    }) {}
    const archived = await Archived.find(id)
    expect(() => archived?.args).toThrow('moved from another row')
    await Archived.db.close()
  })

  it('A22: cut short, fails the attempt', async () => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    await tamper(`UPDATE attempts SET args = to_jsonb(left(args #>> '{}', 30)) FROM allowed WHERE id = $1`, [id])
    expect(await failure(id)).toMatchObject({ status: 'failed', message: expect.stringContaining('It was truncated') })
  })

  it.each([
    ['nothing but the name of the key', (text: string) => text.slice(0, 4)],
    ['a part of the name of the key', (text: string) => text.slice(0, 2)],
    ['plain text', () => SECRET],
    ['nothing', () => ''],
  ])('A22: cut to %s, fails the attempt at once, and is not told', async (_, cut) => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    const [{ args }] = await rows('SELECT args FROM attempts')
    await tamper('UPDATE attempts SET args = to_jsonb($1::text) FROM allowed WHERE id = $2', [cut(args), id])
    expect(await failure(id)).toMatchObject({ status: 'failed', numAttempts: 1 })
    const [{ errors }] = await rows('SELECT errors FROM attempts')
    expect(JSON.stringify(errors)).not.toContain(SECRET.slice(0, 4))
  })

  it('A22: encrypted with another key of that name, fails the attempt', async () => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    const WrongKey = attemptsWith(new AesGcmEncryptor({ old: key() }))
    expect(await failure(id, WrongKey)).toMatchObject({
      status: 'failed',
      message: expect.stringContaining('does not decrypt with the key "old"'),
    })
  })

  it('A22: under a key that this worker does not have yet, waits for one that has it', async () => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    const Behind = attemptsWith(new AesGcmEncryptor({ other: key() }))
    expect(await failure(id, Behind)).toMatchObject({
      status: 'pending',
      message: expect.stringContaining('No encryptor is called "aes-256-gcm:old"'),
    })
    await rows('UPDATE attempts SET scheduled_at = now()')
    expect(await failure(id)).toMatchObject({ status: 'succeeded' })
  })
})

describe('rotation', () => {
  it('A22: puts a new key first; old rows stay readable, and are re-encrypted in batches', async () => {
    const before = await Encrypted.createMany(
      Array.from({ length: 5 }, (_, i) => ({
        target: Cards,
        method: 'charge' as const,
        args: [`card ${i}`] as [string],
      })),
    )
    const failed = await Encrypted.async(Cards).decline(SECRET)
    await failed.perform()
    await before[0]?.perform()

    const Rotated = attemptsWith(new AesGcmEncryptor({ now: keys.now, old: keys.old }))
    expect((await Rotated.find(before[1]!.id))?.args).toEqual(['card 1'])
    expect(await Rotated.reencrypt({ batch: 2 })).toEqual({ done: 6, left: 0 })
    expect(await Rotated.reencrypt()).toEqual({ done: 0, left: 0 })

    const OnlyNew = attemptsWith(new AesGcmEncryptor({ now: keys.now }))
    expect((await OnlyNew.find(before[0]!.id))?.result).toEqual({ charged: 'card 0' })
    const { errors, progress, progressMessage } = (await OnlyNew.find(failed.id))!
    expect(errors).toMatchObject([{ message: `${SECRET} was declined` }])
    expect([progress, progressMessage], 'the message is not kept').toEqual([0.5, null])
    expect(await OnlyNew.perform(before[4]!.id)).toMatchObject({ status: 'succeeded', result: { charged: 'card 4' } })
  })

  it('A22: goes past what does not decrypt, and says that something is left, until nothing is', async () => {
    const [broken, running] = [
      await Encrypted.async(Cards).charge('broken'),
      await Encrypted.async(Cards).charge('runs'),
    ]
    const good = await Encrypted.async(Cards).charge('good')
    await tamper(`UPDATE attempts SET args = to_jsonb(left(args #>> '{}', 30)) FROM allowed WHERE id = $1`, [broken.id])
    await rows(`UPDATE attempts SET status = 'running' WHERE id = $1`, [running.id])

    const Rotated = attemptsWith(new AesGcmEncryptor({ now: keys.now, old: keys.old }))
    expect(await Rotated.reencrypt({ batch: 1 })).toEqual({ done: 1, left: 2 })
    expect((await Rotated.find(good.id))?.encryptor).toBe('aes-256-gcm:now')
    await expect(reencrypt(Rotated)).rejects.toThrow('2 attempts still need an older key')

    await rows('DELETE FROM attempts WHERE id = $1', [broken.id])
    await rows(`UPDATE attempts SET status = 'pending'`)
    await reencrypt(Rotated)
    expect((await Rotated.find(running.id))?.encryptor).toBe('aes-256-gcm:now')
  })

  it('A22: re-encrypts rows that have errors without anything secret, which are not encrypted', async () => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    await rows(`UPDATE attempts SET status = 'running', num_attempts = 1, locked_by = 0`)
    await sweep(db)
    const Rotated = attemptsWith(new AesGcmEncryptor({ now: keys.now, old: keys.old }))
    expect(await Rotated.reencrypt()).toEqual({ done: 1, left: 0 })
    expect(await Rotated.find(id)).toMatchObject({ args: [SECRET], errors: [{ name: 'WorkerDied' }] })
  })

  it('A22: leaves out no row, also with a pool of the host that reads the table without its index', async () => {
    const [first] = [await Encrypted.async(Cards).charge('first'), await Encrypted.async(Cards).charge('second')]
    // It has moved behind the second. The planner knows that they are few.
    await rows('UPDATE attempts SET priority = 20 WHERE id = $1', [first.id])
    await rows('ANALYZE attempts')
    const pool = new pg.Pool({ connectionString: url })
    const own = connect(db.prisma, { pool })
    const Rotated = attemptsWith(new AesGcmEncryptor({ now: keys.now, old: keys.old }), [], own)
    expect(await Rotated.reencrypt({ batch: 1 })).toEqual({ done: 2, left: 0 })
    await own.close()
    await pool.end()
  })

  it('A22: re-encrypts rows with negative ids, which SQL may give them', async () => {
    await rows('ALTER SEQUENCE attempts_id_seq MINVALUE -10 RESTART WITH -5')
    onTestFinished(async () => void (await rows('ALTER SEQUENCE attempts_id_seq RESTART WITH 1000000')))
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    expect(id).toBe(-5n)
    const Rotated = attemptsWith(new AesGcmEncryptor({ now: keys.now, old: keys.old }))
    expect(await Rotated.reencrypt()).toEqual({ done: 1, left: 0 })
  })

  it.each([
    ['failed', 'decline', { result: undefined, errors: [{ number: 1 }] }],
    ['succeeded', 'charge', { result: { charged: SECRET }, errors: [] }],
  ] as const)('A22: leaves a row whose call has %s since it was read', async (_, method, after) => {
    const { id } = await Encrypted.async(Cards)[method](SECRET)
    const now = 'aes-256-gcm:now'
    const encrypted = new EncryptedRows(db, 'attempts')
    const [read] = await encrypted.page(now, 0n, 10)
    await Encrypted.perform(id)
    const stale = { id, args: JSON.stringify(read!.args), result: null, errors: read!.errors }
    expect(await encrypted.replace([stale], now)).toBe(0)
    expect(await Encrypted.find(id)).toMatchObject(after)
  })

  it('A22: goes on while the rows are in flight, and every call is made with what it was recorded with, once', async () => {
    const Rotated = attemptsWith(new AesGcmEncryptor({ now: keys.now, old: keys.old }))
    const attempts = await Encrypted.createMany(
      Array.from({ length: 200 }, (_, i) => ({
        target: Cards,
        method: 'charge' as const,
        args: [`card ${i}`] as const,
      })),
    )
    const working = runOnce({
      connectionString: url,
      taskList: { attempt: attemptTask(Rotated) },
      concurrency: 10,
      noHandleSignals: true,
      logger: new Logger(() => () => {}),
    })
    for (let left = 1; left > 0; ) ({ left } = await Rotated.reencrypt({ batch: 7 }))
    await working
    const OnlyNew = attemptsWith(new AesGcmEncryptor({ now: keys.now }))
    const after = await Promise.all(attempts.map(({ id }) => OnlyNew.find(id)))
    expect(after.map((attempt) => attempt?.result)).toEqual(attempts.map((_, i) => ({ charged: `card ${i}` })))
    expect(new Set(after.map((attempt) => attempt?.numAttempts))).toEqual(new Set([1]))
  })

  it('A4, A22: is the only way past the trigger that keeps arguments as they were', async () => {
    const { id } = await Encrypted.async(Cards).charge(SECRET)
    await expect(rows(`UPDATE attempts SET args = '"x"' WHERE id = $1`, [id])).rejects.toThrow(
      'cannot change after creation',
    )
  })
})

describe('keys', () => {
  it.each([
    ['too short', { now: 'c2hvcnQ=' }, 'The encryption key "now" has 5 bytes. It must have 32'],
    ['not set', { now: undefined }, 'The encryption key "now" is not set'],
    ['empty', { now: '' }, 'The encryption key "now" is not set'],
    ['none at all', {}, 'needs at least one key'],
  ])('A14: that are %s are refused when the encryptor is made', (_, given, message) => {
    expect(() => new AesGcmEncryptor(given)).toThrow(message)
  })

  it('A14: may be base64, hex or bytes', () => {
    const bytes = randomBytes(32)
    const encrypted = new AesGcmEncryptor({ k: bytes }).encrypt('x', 'context')
    for (const same of [bytes.toString('hex'), bytes.toString('base64')]) {
      expect(new AesGcmEncryptor({ k: same }).decrypt(encrypted, 'context')).toBe('x')
    }
  })
})
