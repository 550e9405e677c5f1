// A connection that breaks: the browser comes back, and nothing is lost or doubled.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useBrowser } from './support/browser.js'
import { startDemo } from './support/demo.js'
import { startProxy } from './support/proxy.js'
import { until } from './support/until.js'

const browser = useBrowser()

test('a connection cut in the middle resumes without loss or duplicates', async t => {
  const demo = await startDemo(t)
  const proxy = await startProxy(t, demo.port)
  const witness = await browser.open(t, demo.url) // never cut
  await witness.open()
  const page = await browser.open(t, proxy.url)
  await page.open()
  let posted = 0
  const postSome = async count => {
    for (let n = 0; n < count; n++) await demo.post(`message ${posted++}`)
  }

  await postSome(3)
  await page.message('message 2')

  // Reset, and everything refused for a while.
  proxy.cut()
  await page.status('reconnecting')
  await postSome(10)
  await until('the browser tries and is refused', () => proxy.refused > 0)
  proxy.mend()
  await page.open()
  await page.message('message 12')

  // Ended in the middle of an event: the half that came must not count.
  proxy.cutInside('"message 14"')
  await postSome(5)
  await until('the cut', () => !proxy.armed)
  await page.status('reconnecting')
  assert.ok(!(await page.messages()).includes('message 14'), 'half an event is none')
  await postSome(3)
  await page.open()
  await page.message('message 20')

  // The same inside an event of the other channel.
  proxy.cutInside('event: time')
  await until('the cut', () => !proxy.armed)
  await page.status('reconnecting')
  await postSome(1)
  await page.open()
  await Promise.all([page.message('message 21'), witness.message('message 21')])

  assert.deepEqual(await page.messages(), Array.from({ length: posted }, (_, n) => `message ${n}`))
  assert.equal(await page.count('reset'), 0)
  assert.equal(await page.count('reconnect'), 3)

  // Both channels together: the same events, with the same positions, in the same order, as the one that was never cut.
  const upToLast = rows => rows.slice(0, rows.findIndex(row => row.text === 'message 21') + 1)
  const seen = upToLast(await page.events())
  const published = upToLast(await witness.events())
  const start = published.findIndex(row => row.position === seen[0].position)
  assert.deepEqual(seen, published.slice(start))
  assert.ok(seen.some(row => row.name === 'time'))
})

test('a connection cut before its first event resumes from where it opened', async t => {
  const demo = await startDemo(t)
  const proxy = await startProxy(t, demo.port)
  const page = await browser.open(t, new URL('?channel=messages', proxy.url))
  await page.open()
  proxy.cut()
  await page.status('reconnecting')
  await demo.post('while away')
  proxy.mend()
  await page.message('while away')
  assert.deepEqual(await page.messages(), ['while away'])
  assert.equal(await page.count('reset'), 0)
})

test('where the browser gives up on an error of a gateway, the page comes back with its position', async t => {
  const demo = await startDemo(t)
  const proxy = await startProxy(t, demo.port)
  const page = await browser.open(t, proxy.url)
  await page.open()
  await demo.post('before')
  await page.message('before')
  proxy.cutAndAnswer502()
  await until('a gateway error, and another', () => proxy.refused > 1)
  await demo.post('meanwhile')
  proxy.mend()
  await page.message('meanwhile')
  assert.deepEqual(await page.messages(), ['before', 'meanwhile'])
  assert.equal(await page.count('reset'), 0)
  assert.match(proxy.gets.at(-1), /[?&]lastEventId=[^&]+/)
})
