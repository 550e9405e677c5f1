// A stream that the server refuses: the browser asks no more, for a day.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useBrowser } from './support/browser.js'
import { startDemo } from './support/demo.js'
import { startProxy } from './support/proxy.js'
import { until } from './support/until.js'

const browser = useBrowser()

test('stream-error keeps a plain EventSource away', async t => {
  const demo = await startDemo(t)
  const proxy = await startProxy(t, demo.port)
  const page = await browser.blank(t)
  await page.goto(new URL('style.css', proxy.url).href) // the origin, without the page's own stream
  await page.evaluate(() => {
    window.told = []
    window.refused = new EventSource('/events/')
    for (const name of ['open', 'stream-open', 'stream-error']) {
      refused.addEventListener(name, ({ type, data, lastEventId }) => told.push({ type, data, lastEventId }))
    }
  })
  await until('the stream-error', () => page.evaluate(() => told.at(-1)?.type === 'stream-error'))

  const [opened, error, ...others] = await page.evaluate(() => told)
  assert.equal(opened.type, 'open')
  assert.deepEqual(others, [])
  assert.equal(error.type, 'stream-error')
  assert.equal(error.lastEventId, 'error')
  const { condition, text } = JSON.parse(error.data)
  assert.equal(condition, 'bad-request')
  assert.match(text, /channel/)

  // While another stream of the same page is cut and comes back, twice, the refused one asks no more.
  const refusedGets = () => proxy.gets.filter(target => target === '/events/').length
  assert.equal(refusedGets(), 1)
  await page.evaluate(() => {
    window.opens = 0
    window.healthy = new EventSource('/events/?channel=clock')
    healthy.addEventListener('stream-open', () => { opens += 1 })
  })
  for (const opens of [1, 2, 3]) {
    await until(`open ${opens} of the healthy stream`, async () => await page.evaluate(() => window.opens) === opens)
    proxy.cut()
    proxy.mend()
  }
  assert.equal(refusedGets(), 1)
  assert.equal(await page.evaluate(() => refused.readyState), 0, 'it waits')
})

test('the page tells why it was refused, stops, and tries again when asked', async t => {
  const demo = await startDemo(t)
  const proxy = await startProxy(t, demo.port)
  const page = await browser.open(t, new URL('?channel=', proxy.url))
  const asks = () => proxy.gets.filter(target => target.startsWith('/events/')).length

  await page.status('stopped')
  assert.deepEqual((await page.connection()).map(row => row.kind), ['error', 'stopped'])
  const error = await page.connectionRow('error')
  assert.equal(error.name, 'Refused: bad-request')
  assert.match(error.text, /channel/)
  assert.equal(asks(), 1)

  await page.page.click('#connect')
  await until('another refusal', async () => (await page.connection()).length === 4)
  await page.status('stopped')
  assert.equal(asks(), 2)
})
