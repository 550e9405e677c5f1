// What client libraries do when a stream is refused, ends, cannot be opened yet, or its server is restarted.
//
// What docs/reference/wire.md promises: after a `stream-error` they stay away, and after a `stream-close` they come back no earlier than they are
// asked to, with their position, and miss nothing. The libraries that do otherwise are listed with what they do.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { useBrowser } from '../browser/support/browser.js'
import { until } from '../browser/support/until.js'
import { clients as inNode } from './support/node-clients.js'
import { startOrigin } from './support/origin.js'
import { startSituations } from './support/situations.js'

/** Libraries, and in what they differ from what is promised. */
const LIBRARIES = {
  'the browser': {},
  'event-source-polyfill': {},
  'reconnecting-eventsource': {},
  'extended-eventsource': {},
  'eventsource 2': {},
  'eventsource 3': {},
  'eventsource 4': {},
  'eventsource 5': {},
  'eventsource-client': {},
  'launchdarkly-eventsource': {},
  'sse.js': { asks: 'for anything' },
  'sse.js, asking for a stream': {},
  '@microsoft/fetch-event-source': { takesAnEndForTheEnd: true },
  '@microsoft/fetch-event-source, coming back': {},
  'event-source-plus': { heedsNoRetry: true },
  'htmx 2': {},
  'htmx 2, with sse-close': {},
  // After a stream-error it asks again once a minute, which is longer than we look.
  'htmx 4': { spreads: 0.3 },
  'htmx 4, with hx-sse:close': { spreads: 0.3 }
}

/** Longer than any client is asked to wait. */
const LONG_MS = 4_000
/** How much earlier than asked a timer may fire. */
const EARLY_MS = 50

const browser = useBrowser()

describe('clients', { concurrency: 5 }, () => {
  for (const [library, differs] of Object.entries(LIBRARIES)) {
    test(library, async t => {
      const [lasting, restarted] = await Promise.all([startSituations(t), startSituations(t)])
      const origin = await startOrigin(t, { refused: lasting, changing: lasting, busy: restarted })
      const client = await (library in inNode ? openInNode : openInBrowser)(t, library, origin.url)
      await client.listen('refused')
      await until('a stream-error', async () => has(await client.heard('refused'), 'stream-error'))
      if (differs.takesAnEndForTheEnd) {
        await staysAway(client, origin)
      } else {
        await Promise.all([changes(t, client, origin, differs), restarts(client, origin, restarted, differs)])
      }
      const refused = origin.requests.refused.length
      if (differs.heedsNoRetry) assert.ok(refused > 1)
      else assert.equal(refused, 1, 'it stays away after a stream-error')
    })
  }
})

/** Its streams end of age, and every second time there is none to be had. */
async function changes (t, client, origin, differs) {
  await client.listen('changing')
  const opened = async () => (await client.heard('changing')).filter(([name]) => name === 'stream-open').length
  await until('it opens its stream three times', async () => await opened() >= 3)
  const answered = comesBack(origin.requests.changing, differs)
  const closes = answered.flatMap(({ events }) => events.filter(({ event }) => event === 'stream-close'))
  const reasons = differs.asks === undefined ? ['max-age', 'failed', 'max-age', 'failed'] : ['max-age', 'max-age']
  assert.deepEqual(closes.slice(0, reasons.length).map(({ data }) => JSON.parse(data).reason), reasons)
  missesNothing(await client.heard('changing'))
  const [first, second] = answered
  t.diagnostic(`asked to come back after ${closes[0].retryMs} ms; came after ${Math.round(second.atMs - first.endedMs)} ms`)
}

/** All places are taken; then it gets one, and the server is restarted, where all places are taken again. */
async function restarts (client, origin, server, differs) {
  await client.listen('busy')
  await until('it gets a stream', async () => has(await client.heard('busy'), 'tick'))
  await server.restart()
  const isTold = heard => has(heard, 'stream-reset') && heard.at(-1)[0] === 'tick'
  await until('it is told of the reset, and goes on', async () => isTold(await client.heard('busy')))
  const answered = comesBack(origin.requests.busy, differs)
  // One that heeds no `retry` asks more than once before there is a place.
  const got = answered.findIndex(({ events }) => events.some(({ event }) => event === 'tick'))
  const [full, open] = [answered[0], answered[got]]
  if (differs.asks === undefined) {
    assert.deepEqual(full.events.map(({ event, data, id }) => [event, data, id]), [['stream-close', '{"reason":"full"}', undefined]])
  } else {
    assert.equal(full.status, 503)
  }
  assert.equal(open.events.at(-1).data, '{"reason":"shutdown"}')
  const heard = await client.heard('busy')
  const reset = heard.findIndex(([name]) => name === 'stream-reset')
  missesNothing(heard.slice(0, reset))
  missesNothing(heard.slice(reset))
}

/** Comes back after no end, for longer than it was asked to wait. */
async function staysAway (client, origin) {
  for (const situation of ['changing', 'busy']) {
    await client.listen(situation)
    await until('a stream-close', async () => has(await client.heard(situation), 'stream-close'))
  }
  await pause(LONG_MS)
  assert.deepEqual([origin.requests.changing.length, origin.requests.busy.length], [1, 1])
}

/** Each request comes with the last id before it, and no earlier than asked. Gives back those that were answered. */
function comesBack (requests, { heedsNoRetry = false, spreads = 0, asks }) {
  const answered = requests.filter(({ status }) => status !== undefined)
  answered.reduce((before, request) => {
    const last = before.events.at(-1)
    assert.equal(request.lastEventId, last?.id ?? before.lastEventId, 'it comes back with its position')
    const waitedMs = request.atMs - before.endedMs
    if (last?.event === 'stream-close' && !heedsNoRetry) {
      const leastMs = last.retryMs * (1 - spreads) - EARLY_MS
      assert.ok(waitedMs >= leastMs, `it was asked to wait for ${last.retryMs} ms, and waited for ${waitedMs}`)
    }
    return request
  })
  for (const { status } of answered) assert.ok(status === 200 || (status === 503 && asks !== undefined), `status ${status}`)
  return answered
}

/** The numbers it has heard leave none out, and none comes twice. */
function missesNothing (heard) {
  const numbers = heard.filter(([name]) => name === 'tick').map(([, data]) => Number(data))
  assert.deepEqual(numbers, numbers.map((_, index) => numbers[0] + index))
  assert.notEqual(numbers.length, 0)
}

function has (heard, event) {
  return heard.some(([name]) => name === event)
}

async function openInBrowser (t, library, url) {
  const page = await browser.blank(t)
  await page.goto(url)
  await page.waitForFunction(() => window.ready)
  return {
    // Not the promise, which may be one for the end of the stream.
    listen: situation => page.evaluate(([library, situation]) => { void window.listen(library, situation) }, [library, situation]),
    heard: situation => page.evaluate(situation => window.heard[situation], situation)
  }
}

async function openInNode (t, library, url) {
  const heard = {}
  return {
    async listen (situation) {
      heard[situation] = []
      t.after(inNode[library](`${url}/${situation}/`, (name, data) => heard[situation].push([name, data])))
    },
    heard: async situation => heard[situation]
  }
}
