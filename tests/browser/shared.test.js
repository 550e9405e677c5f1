// Three processes that share a journal, behind an nginx that takes them in turn: whichever process a browser comes back to,
// it goes on where it was.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { useBrowser } from './support/browser.js'
import { startSharing } from './support/sharing.js'
import { until } from './support/until.js'

const SERVERS = 3
/** As many as a browser opens at once to one host, but for one that it needs for the page. */
const SOURCES = 5
const RECONNECTS = 330
const PAUSE_MS = 4
const DEADLINE_MS = 50_000

const browser = useBrowser()

test('a browser that is sent from process to process gets each event once and in order', async t => {
  const { servers, url } = await startSharing(t, SERVERS)
  const page = await browser.blank(t)
  await page.goto(url)
  await page.evaluate(listen, SOURCES)
  const seen = () => page.evaluate(() => globalThis.seen)
  const opens = () => page.evaluate(() => globalThis.seen.reduce((sum, source) => sum + source.opens, 0))
  await until('all streams are open', async () => (await seen()).every(source => source.opens > 0))

  // Each process publishes in turn, and all the time.
  let published = 0
  let isOver = false
  const publishing = (async () => {
    for (; !isOver; published++) {
      servers[published % SERVERS].publish(`${published % SERVERS}-${Math.floor(published / SERVERS)}`)
      await pause(PAUSE_MS)
    }
  })()
  await until(`${RECONNECTS} reconnects`, async () => await opens() >= RECONNECTS + SOURCES, { timeoutMs: DEADLINE_MS })
  isOver = true
  await publishing
  await until('all events have come', async () => (await seen()).every(source => source.events.length >= published))

  const [first, ...others] = await seen()
  const streams = await Promise.all(servers.map(server => server.close()))
  t.diagnostic(`${published} events, streams of each process: ${streams.join(', ')}`)
  for (const { events } of others) assert.deepEqual(events, first.events, 'all see the same, with the same positions')
  for (const { odd } of [first, ...others]) assert.deepEqual(odd, [], 'no reset, no error')
  assert.equal(first.events.length, published, 'nothing comes twice')
  const positions = first.events.map(([position]) => position.split('-'))
  assert.equal(new Set(positions.map(([epoch]) => epoch)).size, 1)
  const seqs = positions.map(([, seq]) => BigInt(`0x${seq}`))
  assert.ok(seqs.every((seq, n) => n === 0 || seq === seqs[n - 1] + 1n), 'in order, and without a hole')
  for (let server = 0; server < SERVERS; server++) {
    const own = first.events.map(([, text]) => text).filter(text => text.startsWith(`${server}-`))
    assert.deepEqual(own, own.map((_, n) => `${server}-${n}`), 'what one process publishes is in its order')
  }
  assert.ok(streams.every(count => count > RECONNECTS / SERVERS / 2), 'all processes have had their share')
})

/** For the page: opens so many streams, and keeps what comes on each. */
function listen (count) {
  globalThis.seen = Array.from({ length: count }, () => {
    const source = new EventSource('/events/')
    const seen = { opens: 0, events: [], odd: [] }
    source.addEventListener('message', event => seen.events.push([event.lastEventId, event.data]))
    source.addEventListener('stream-open', () => { seen.opens++ })
    for (const name of ['stream-reset', 'stream-error']) source.addEventListener(name, event => seen.odd.push([name, event.data]))
    source.addEventListener('error', () => { if (source.readyState === EventSource.CLOSED) seen.odd.push(['closed']) })
    return seen
  })
}
