import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { BaseAttempt, defineTargets } from '@async-gen/runtime'
import { asyncEvents, signedId } from '@async-gen/runtime/events'
import { toNodeHandler } from '@async-gen/runtime/http'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { watchedRowsOf } from '../../runtime/src/events/watched-rows.js'
import { db } from '../.app/src/async/database.js'
import { findChromium, openBrowser } from '../dashboard/browser.js'
import { testDatabase } from '../support/database.js'
import { eventually } from '../support/eventually.js'
import { gate } from '../support/gate.js'

await testDatabase()
const secret = 'a secret of the test, long enough for it'

let hold = gate()
const Import = {
  half: async () => {
    Attempt.current().progress(0.5, 'half')
    await hold.opened
    return { imported: 3 }
  },
}
class Attempt extends BaseAttempt(db, { model: 'Attempt', table: 'attempts', targets: defineTargets({ Import }) }) {}

const events = toNodeHandler(asyncEvents(db, { authorize: () => true, attempts: [Attempt], secret }))
/** The status of each response of the events. */
const statuses: number[] = []
const server = createServer((request, response) => {
  if (!request.url?.startsWith('/events')) return response.end('<!doctype html><title>live</title>')
  response.once('close', () => statuses.push(response.statusCode))
  return events(request, response)
})

interface LivePage {
  states: { status: string; progress: number | null }[]
  source: { readyState: number }
}

describe.skipIf(!findChromium())('an EventSource of a browser', () => {
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    browser = await openBrowser()
    page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  })
  afterAll(async () => {
    await browser.close()
    server.closeAllConnections()
    server.close()
    await db.close()
  })

  /** Follows as a page without a line about reconnecting or closing. */
  const follow = async (id: string) =>
    await page.evaluate((address) => {
      const live = globalThis as unknown as LivePage
      live.states = []
      // biome-ignore lint/suspicious/noExplicitAny: the code runs in the browser
      const source = new (globalThis as any).EventSource(address)
      source.onmessage = ({ data }: { data: string }) => live.states.push(JSON.parse(data))
      live.source = source
    }, `/events?id=${id}`)
  const states = async () => await page.evaluate(() => (globalThis as unknown as LivePage).states)
  const CLOSED = 2

  it('gets each state once, also after lost connections, and stops after the last one', async () => {
    const attempt = await Attempt.async(Import).half()
    await follow(signedId(attempt, { secret }))
    await eventually('the first state', async () => (await states()).length === 1)
    server.closeAllConnections()
    await eventually('the end of the stream', async () => watchedRowsOf(db).size === 0)
    await eventually('a new connection', async () => watchedRowsOf(db).size === 1)
    const performing = Attempt.perform(attempt.id)
    await eventually('progress', async () => (await states()).at(-1)?.progress === 0.5)
    server.closeAllConnections()
    hold.open()
    await performing
    await eventually('the result', async () => (await states()).at(-1)?.status === 'succeeded')
    await eventually('the end', async () =>
      page.evaluate((closed) => (globalThis as unknown as LivePage).source.readyState === closed, CLOSED),
    )
    const distinct = (await states()).map((state) => JSON.stringify(state))
    expect(new Set(distinct).size).toBe(distinct.length)
    expect(statuses).toEqual([200, 200, 200, 204])
    expect(watchedRowsOf(db).size).toBe(0)
  })

  it('closes when the page goes away', async () => {
    hold = gate()
    const attempt = await Attempt.async(Import).half()
    await follow(signedId(attempt, { secret }))
    await eventually('the first state', async () => (await states()).length === 1)
    await page.goto('about:blank')
    await eventually('no client', async () => watchedRowsOf(db).size === 0)
  })
})
