// Tabs of a real browser that share one stream of a real server: each sees each event once, whatever becomes of the one that reads.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Tab, leaderOf, numbersTo, publishing, useBrowser } from './support/browser.mjs'
import { startServer } from './support/server.mjs'
import { until } from './support/until.mjs'

const OPTIONS = { timeout: 60_000 }
const browser = useBrowser()

test('12 tabs share one connection, where the seventh EventSource of a browser hangs', OPTIONS, async t => {
  const server = await startServer(t)
  const plain = await browser.profile(t)
  const pages = []
  for (let n = 0; n < 6; n++) {
    const page = await plain.newPage()
    pages.push(page)
    await page.goto(server.url)
    await page.evaluate(() => new Promise(resolve => { new EventSource('/events/?channel=a').onopen = resolve }))
  }
  const seventh = await plain.newPage()
  let isThere = false
  const going = seventh.goto(server.url).then(() => { isThere = true })
  await pause(1_000) // that nothing happens can be seen only so
  assert.equal(isThere, false, 'the page itself does not come')
  await pages[0].close()
  await going
  await plain.close()
  await until('the streams are gone', async () => (await server.stats()).open === 0)
  const before = (await server.stats()).opened

  const context = await browser.profile(t)
  const tabs = []
  for (let n = 0; n < 12; n++) tabs.push(await Tab.open(context, server))
  await Promise.all(tabs.map(tab => tab.status('open')))
  for (let n = 0; n < 100; n++) server.publish(String(n))
  for (const tab of tabs) {
    await until('all events', async () => (await tab.seen()).length >= 100)
    assert.deepEqual(await tab.seen(), numbersTo(100))
  }
  assert.deepEqual(await server.stats(), { open: 1, opened: before + 1 })
  assert.equal((await Promise.all(tabs.map(tab => tab.get('leader')))).filter(Boolean).length, 1)
})

/** Tabs, of which the leader gets into trouble while numbers are published. Gives all to check. */
async function trouble (t, count, options, make) {
  const server = await startServer(t)
  const context = await browser.profile(t)
  const tabs = []
  for (let n = 0; n < count; n++) tabs.push(await Tab.open(context, server, options))
  await Promise.all(tabs.map(tab => tab.status('open')))
  const leader = await leaderOf(tabs)
  const others = tabs.filter(tab => tab !== leader)
  const numbers = publishing(server)
  await until('some events', () => numbers.count > 20)
  await make({ server, context, leader, others, numbers, tabs })
}

async function sawAll (tabs, count) {
  for (const tab of tabs) {
    await until('all events', async () => (await tab.seen()).includes(count - 1), { timeoutMs: 15_000 })
    assert.deepEqual(await tab.seen(), numbersTo(count))
  }
}

for (const [how, leave] of Object.entries({
  'is closed': leader => leader.page.close(),
  'closes its stream': leader => leader.page.evaluate(() => globalThis.client.close()),
  'navigates away': leader => leader.page.goto('about:blank'),
  crashes: async leader => {
    const crashed = new Promise(resolve => leader.page.once('crash', resolve))
    ;(await leader.cdp()).send('Page.crash').catch(() => {})
    await crashed
  }
})) {
  test(`the leader ${how}: the others lose and double nothing`, OPTIONS, t => trouble(t, 4, {}, async ({ server, leader, others, numbers }) => {
    await leave(leader)
    await leaderOf(others)
    const since = numbers.count
    await until('some more events', () => numbers.count > since + 20)
    await sawAll(others, numbers.stop())
    await until('one stream is left', async () => (await server.stats()).open === 1)
    assert.equal((await server.stats()).opened, 2, 'nobody but the next leader has read for itself')
  }))
}

test('the leader freezes: another one takes over, and the leader loses and doubles nothing when it is thawed', OPTIONS, t =>
  trouble(t, 3, { silentMs: 1_000 }, async ({ leader, others, numbers, tabs }) => {
    await leader.freeze()
    try {
      await leaderOf(others)
      assert.ok((await Promise.all(others.map(tab => tab.statuses()))).flat().includes('stale'), 'they say that nothing comes')
      await Promise.all(others.map(tab => tab.status('open')))
    } finally {
      await leader.thaw() // or it could not be closed
    }
    await until('the old leader leads no longer', async () => !await leader.get('leader'))
    const since = numbers.count
    await until('some more events', () => numbers.count > since + 20)
    await sawAll(tabs, numbers.stop())
    assert.equal(await leader.get('status'), 'open')
  }))

test('the lock is stolen from a leader that lives: it follows', OPTIONS, t => trouble(t, 3, {}, async ({ leader, numbers, tabs }) => {
  await leader.page.evaluate(async () => {
    const { held } = await navigator.locks.query()
    await navigator.locks.request(held[0].name, { steal: true }, () => {})
  })
  await leaderOf(tabs)
  const since = numbers.count
  await until('some more events', () => numbers.count > since + 20)
  await sawAll(tabs, numbers.stop())
}))

test('a page that is kept for the way back goes on where it was', OPTIONS, t => trouble(t, 2, {}, async ({ server, leader, others, numbers }) => {
  await leader.page.evaluate(() => addEventListener('pageshow', ({ persisted }) => { globalThis.wasKept = persisted }))
  await leader.page.goto(`${server.url}elsewhere`)
  await leaderOf(others)
  const since = numbers.count
  await until('some more events', () => numbers.count > since + 20)
  await leader.page.goBack({ waitUntil: 'commit' }) // it is not loaded again
  assert.equal(await leader.page.evaluate(() => globalThis.wasKept), true, 'the browser has kept it')
  await sawAll([leader, ...others], numbers.stop())
  assert.equal((await leader.statuses()).includes('paused'), true)
}))

test('offline and online: nothing is lost', OPTIONS, t => trouble(t, 2, {}, async ({ context, numbers, tabs }) => {
  await context.setOffline(true)
  await Promise.all(tabs.map(tab => tab.status('paused')))
  const since = numbers.count
  await until('some more events', () => numbers.count > since + 20)
  await context.setOffline(false)
  await Promise.all(tabs.map(tab => tab.status('open')))
  await sawAll(tabs, numbers.stop())
}))

test('the whole browser sleeps, and goes on where it was', OPTIONS, t => trouble(t, 3, { silentMs: 1_000 }, async ({ numbers, tabs }) => {
  browser.signal('SIGSTOP')
  t.after(() => browser.signal('SIGCONT'))
  const since = numbers.count
  await until('more events than silence is long', () => numbers.count > since + 100)
  browser.signal('SIGCONT')
  await Promise.all(tabs.map(tab => tab.status('open')))
  await sawAll(tabs, numbers.stop())
}))

test('a tab that joins begins now, or where it says: out of what the leader remembers, or of the server', OPTIONS, async t => {
  const server = await startServer(t)
  const context = await browser.profile(t)
  const first = await Tab.open(context, server)
  await first.status('open')
  const publish = async (from, to) => {
    for (let n = from; n < to; n++) server.publish(String(n))
    await until('all events', async () => (await first.seen()).length === to)
  }
  await publish(0, 5)
  const fifth = await first.get('position')
  await publish(5, 20)
  const remembered = await Tab.open(context, server, { since: fifth })
  await until('what it asks for', async () => (await remembered.seen()).length === 15)
  assert.equal((await server.stats()).opened, 1)

  await publish(20, 320)
  const [late, fresh] = [await Tab.open(context, server, { since: fifth }), await Tab.open(context, server)]
  await until('what it asks for', async () => (await late.seen()).length === 315)
  assert.deepEqual(await late.seen(), numbersTo(320).slice(5))
  await until('it hangs up', async () => (await server.stats()).open === 1)
  assert.equal((await server.stats()).opened, 2)
  await publish(320, 321)
  await until('the next', async () => (await fresh.seen()).length > 0)
  assert.deepEqual(await fresh.seen(), [320])
  assert.deepEqual((await late.seen()).slice(-2), [319, 320])
})

test('tabs that cannot go on are told of a reset', OPTIONS, async t => {
  const server = await startServer(t, { history_events: 10 })
  const context = await browser.profile(t)
  const first = await Tab.open(context, server)
  await first.status('open')
  for (let n = 0; n < 300; n++) server.publish(String(n))
  await until('all events', async () => (await first.seen()).length === 300)
  const late = await Tab.open(context, server, { since: 'deadbeef-000000000001' })
  await until('the reset', async () => (await late.seen()).includes('stream-reset'))
  server.publish('300')
  await until('the next', async () => (await late.seen()).includes(300))
  await until('it hangs up', async () => (await server.stats()).open === 1)
})

test('identities, channels and tabs that do not want to share have streams of their own', OPTIONS, async t => {
  const server = await startServer(t)
  const context = await browser.profile(t)
  for (const options of [{}, { identity: 'bob' }, { channels: ['a', 'b'] }, { share: false }]) await (await Tab.open(context, server, options)).status('open')
  await until('four streams', async () => (await server.stats()).open === 4)
  const nobody = await browser.profile(t)
  for (let n = 0; n < 2; n++) {
    const page = await nobody.newPage()
    await page.goto(server.url)
    await page.evaluate(async () => { (await import('/index.js')).connect('/events/?channel=a') })
  }
  await until('without an identity nothing is shared', async () => (await server.stats()).open === 6)
})

test('what ends the stream of the leader ends that of all, and reconnect of any begins again', OPTIONS, async t => {
  const server = await startServer(t)
  const context = await browser.profile(t)
  const tabs = [await Tab.open(context, server), await Tab.open(context, server)]
  await Promise.all(tabs.map(tab => tab.status('open')))
  server.command('disconnect you are out')
  for (const tab of tabs) {
    await tab.status('closed')
    assert.deepEqual(await tab.page.evaluate(() => [globalThis.client.error.code, globalThis.client.error.message]), ['forbidden', 'you are out'])
  }
  server.publish('0')
  for (const tab of tabs) await tab.page.evaluate(() => globalThis.client.reconnect())
  await sawAll(tabs, 1)
})

test('a tab that begins to lead just when the one before has ended it for all ends too', OPTIONS, async t => {
  const server = await startServer(t)
  const tab = await Tab.open(await browser.profile(t), server)
  await tab.status('open')
  // What that one has said may come later than its lock.
  await tab.page.evaluate(() => {
    const key = JSON.stringify([new URL('/events/?channel=a', location).href, 'ann'])
    new BroadcastChannel(`evstream ${key}`).postMessage({ from: 'before', head: '', told: ['closed', ['forbidden', 'you are out']] })
  })
  await tab.status('closed')
  assert.equal(await tab.page.evaluate(() => globalThis.client.error.code), 'forbidden')
  await until('the stream is gone', async () => (await server.stats()).open === 0)
})
